// count: units are dealt to the threads; a unit's rows of the sums belong to one thread, so nothing is shared.
#include <algorithm>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {

void count(const Isa& isa, const CountArguments& a, int threads) {
  parallel(threads, a.units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    const size_t map = size_t(a.rows.cells * a.columns.cells);
    Buffer<float> values(map), row(size_t(a.columns.cells) + 2);
    Buffer<unsigned char> above(map), rows_above(size_t(a.rows.cells) + 1);
    std::vector<uint64_t> mask(size_t(a.words) + 1, 0);
    Buffer<bool> under(size_t(a.categories) + 1);
    CountScratch s{values.get(), row.get(), above.get(), rows_above.get(), mask.data(), under.get()};
    for (std::ptrdiff_t unit = first; unit < last; ++unit) isa.count_unit(a, unit, s);
  });
}

}  // namespace fd
