// count_permuted: permutations are dealt to the threads; each has its own rows of the sums, so nothing is shared.
#include <algorithm>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {

void count_permuted(const Isa& isa, PermutedArguments a, const int64_t* permutations, std::ptrdiff_t count,
                    int64_t* intersection, int64_t* unit_area, int threads) {
  const Extents held = plane_extents(a.plane_words, a.words, a.word_row, a.plane_start[a.images], threads);
  a.plane_from = held.from.data();
  a.plane_to = held.to.data();
  int64_t most = 0;
  for (std::ptrdiff_t n = 0; n < a.images; ++n) most = std::max(most, a.image_start[n + 1] - a.image_start[n]);
  parallel(threads, count, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    const size_t cells = size_t(a.units * a.concepts);
    Buffer<int64_t> sums(cells);
    Buffer<unsigned char> under(size_t(most * a.categories) + 1);
    PermutedScratch s{sums.get(), under.get()};
    for (std::ptrdiff_t i = first; i < last; ++i) {
      std::fill_n(sums.get(), cells, int64_t(0));
      isa.count_permuted(a, permutations + i * a.images, unit_area + i * a.units * a.categories, s);
      int64_t* to = intersection + i * std::ptrdiff_t(cells);
      constexpr std::ptrdiff_t kTile = 16;  // concept by concept -> unit by unit, in tiles that stay in the cache
      for (std::ptrdiff_t u = 0; u < a.units; u += kTile)
        for (std::ptrdiff_t c = 0; c < a.concepts; ++c)
          for (std::ptrdiff_t k = u; k < std::min(u + kTile, a.units); ++k)
            to[k * a.concepts + c] += sums.get()[c * a.units + k];
    }
  });
}

}  // namespace fd
