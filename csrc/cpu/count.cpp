// count: units are dealt to the threads; a unit's rows of the sums belong to one thread, so nothing is shared.
#include <algorithm>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {

Extents plane_extents(const uint64_t* plane_words, std::ptrdiff_t words, const int64_t* word_row, int64_t planes,
                      int threads) {
  Extents held{std::vector<int32_t>(size_t(planes) + 1, 0), std::vector<int32_t>(size_t(planes) + 1, 0)};
  parallel(threads, std::ptrdiff_t(planes), [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    for (std::ptrdiff_t p = first; p < last; ++p) {
      if (word_row[p] < 0) continue;
      const uint64_t* own = plane_words + word_row[p] * words;
      std::ptrdiff_t low = 0, high = words;
      while (low < high && !own[low]) ++low;
      while (high > low && !own[high - 1]) --high;
      held.from[size_t(p)] = int32_t(low);
      held.to[size_t(p)] = int32_t(high);
    }
  });
  return held;
}

void count(const Isa& isa, CountArguments a, int threads) {
  const Extents held = plane_extents(a.plane_words, a.words, a.word_row, a.plane_start[a.plane_images], threads);
  a.plane_from = held.from.data();
  a.plane_to = held.to.data();
  parallel(threads, a.units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    const size_t map = size_t(a.rows.cells * a.columns.cells);
    Buffer<float> values(map + 16), row(std::max<size_t>(size_t(a.columns.cells) + 2, 72));
    std::fill_n(values.get(), map + 16, 0.0f);
    const std::ptrdiff_t border = a.ring ? 1 : 0;
    Buffer<int32_t> place(size_t(a.height * a.width)), row_of(size_t(a.height * a.width));
    for (std::ptrdiff_t cell = 0; cell < a.height * a.width; ++cell) {
      row_of.get()[cell] = int32_t(cell / a.width + border);
      place.get()[cell] = int32_t(row_of.get()[cell] * a.columns.cells + cell % a.width + border);
    }
    Buffer<unsigned char> above(map), rows_above(size_t(a.rows.cells) + 1);
    std::vector<uint64_t> mask(size_t(a.words) + 1, 0);
    Buffer<bool> under(size_t(a.categories) + 1);
    CountScratch s{values.get(), row.get(),   above.get(),  rows_above.get(),
                   mask.data(),  place.get(), row_of.get(), under.get()};
    for (std::ptrdiff_t unit = first; unit < last; ++unit) isa.count_unit(a, unit, s);
  });
}

}  // namespace fd
