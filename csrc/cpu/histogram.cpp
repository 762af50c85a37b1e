// histogram: counts of the keys' top bits, or of their low 16 bits inside one bin of the top 16 (the second of
// three passes). int64 counters: a unit may have 2**32 values and more.
#include <algorithm>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"

template <typename T>
uint64_t histogram_typed(const View& v, int shift, const uint32_t* prefix, int64_t* bins, std::ptrdiff_t n_bins,
                         int64_t* missing, std::ptrdiff_t first, std::ptrdiff_t last) {
  const auto* data = static_cast<const typename T::Type*>(v.data);
  uint64_t fault = kNoFault;
  for (std::ptrdiff_t n = 0; n < v.images; ++n)
    for (std::ptrdiff_t k = first; k < last; ++k)
      for (std::ptrdiff_t y = 0; y < v.height; ++y)
        for (std::ptrdiff_t c = 0; c < v.width; ++c) {
          const float x =
              T::widen(data[n * v.image_stride + k * v.unit_stride + y * v.row_stride + c * v.column_stride]);
          if (!(x == x)) {
            ++missing[k];
            const auto where = uint64_t(((n * v.units + k) * v.height + y) * v.width + c);
            fault = std::min(fault, where);
            continue;
          }
          const uint32_t key = key_of(x);
          if (!prefix)
            ++bins[k * n_bins + std::ptrdiff_t(key >> shift)];
          else if (key >> 16 == prefix[k])
            ++bins[k * n_bins + std::ptrdiff_t(key & 0xFFFFu)];
        }
  return fault;
}

}  // namespace

uint64_t histogram(const View& v, int shift, const uint32_t* prefix, int64_t* bins, std::ptrdiff_t n_bins,
                   int64_t* missing, int threads) {
  std::vector<uint64_t> faults(size_t(std::max(threads, 1)), kNoFault);
  parallel(threads, v.units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int thread) {
    uint64_t& fault = faults[size_t(thread)];
    switch (v.kind) {
      case kFloat16:
        fault = histogram_typed<Float16>(v, shift, prefix, bins, n_bins, missing, first, last);
        break;
      case kBfloat16:
        fault = histogram_typed<Bfloat16>(v, shift, prefix, bins, n_bins, missing, first, last);
        break;
      default:
        fault = histogram_typed<Float32>(v, shift, prefix, bins, n_bins, missing, first, last);
    }
  });
  return *std::min_element(faults.begin(), faults.end());
}

}  // namespace fd
