// The bound of bench/net2vec.py: for every pixel of a mask interpolation along y, sigmoid and the linear loss, and
// nothing else. No cells are gathered, rows are there already, and nothing is derived.
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
namespace {
#include "../csrc/cpu/lanes.inc.hpp"
}

// rows [height, columns], columns a multiple of 16; band r has the lines first[r] ... first[r + 1] - 1
extern "C" float pixels(const float* rows, const float* fraction, const int32_t* first, std::ptrdiff_t height,
                        std::ptrdiff_t columns, const uint16_t* label, float inside, float outside) {
  const Lanes in = all(inside), out = all(outside), one = all(1.0f);
  Lanes total = all(0.0f);
  for (std::ptrdiff_t r = 0; r + 1 < height; ++r)
    for (std::ptrdiff_t x = 0; x < columns; x += kLanes) {
      const Lanes top = load(rows + r * columns + x), step = load(rows + (r + 1) * columns + x) - top;
      for (std::ptrdiff_t y = first[r]; y < first[r + 1]; ++y) {
        const Lanes s = top + step * all(fraction[y]);
        const uint32_t bits = uint32_t(label[y * (columns / 16) + x / 16]) >> (x % 16);
        const Lanes towards = from_bits(bits_of(s) ^ bits_of(choose(bits, all(0.0f), all(-0.0f))));  // s or -s
        const Lanes e = exp_minus_abs(towards);
        total = total + choose(bits, in, out) * (where_negative(towards, e, one) / (one + e));
      }
    }
  float flat[kLanes], sum = 0;
  store(flat, total);
  for (float one_lane : flat) sum += one_lane;
  return sum;
}
