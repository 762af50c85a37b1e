// prune: join parts of consecutive images and keep only the cells within `reach` of one above the (risen) bound.
// Units are independent; each thread takes a contiguous range of them and the ranges are joined in order.
#include <algorithm>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"

struct Kept {
  std::vector<uint32_t> images;
  std::vector<uint32_t> lengths;
  std::vector<unsigned char> cells, values;
  std::vector<int64_t> records_of_unit;
};

template <typename T, typename Cell>
void prune_units(const std::vector<SparseView>& parts, std::ptrdiff_t first, std::ptrdiff_t last, std::ptrdiff_t height,
                 std::ptrdiff_t width, const uint32_t* bounds, int reach, bool ring, Kept& kept) {
  using V = typename T::Type;
  // near[cell] == stamp: within reach of a cell above, in the record at hand
  std::vector<uint32_t> near(size_t(height * width), 0);
  uint32_t stamp = 0;
  for (std::ptrdiff_t unit = first; unit < last; ++unit) {
    const uint32_t bound = bounds[unit];
    const bool everything = bound < kLowestKey;
    const bool border = ring && bound < kZeroKey;
    const float threshold = everything ? 0.0f : from_key(bound);
    int64_t records = 0;
    uint32_t first_image = 0;
    for (const SparseView& part : parts) {
      const auto* cells = static_cast<const Cell*>(part.cells);
      const auto* values = static_cast<const V*>(part.values);
      for (int64_t r = part.unit_start[unit]; r < part.unit_start[unit + 1]; ++r) {
        const int64_t from = part.cell_start[r], to = part.cell_start[r + 1];
        if (++stamp == 0) {
          std::fill(near.begin(), near.end(), 0u);
          stamp = 1;
        }
        bool any = border;
        for (int64_t j = from; j < to; ++j) {
          const float x = T::widen(values[j]);
          if (!(everything ? x == x : x > threshold)) continue;
          any = true;
          const std::ptrdiff_t y = std::ptrdiff_t(cells[j]) / width, x0 = std::ptrdiff_t(cells[j]) % width;
          const std::ptrdiff_t left = std::max<std::ptrdiff_t>(x0 - reach, 0);
          const std::ptrdiff_t right = std::min<std::ptrdiff_t>(x0 + reach, width - 1);
          for (std::ptrdiff_t row = std::max<std::ptrdiff_t>(y - reach, 0);
               row <= std::min<std::ptrdiff_t>(y + reach, height - 1); ++row)
            for (std::ptrdiff_t column = left; column <= right; ++column) near[size_t(row * width + column)] = stamp;
        }
        if (!any) continue;
        uint32_t length = 0;
        for (int64_t j = from; j < to; ++j) {
          const std::ptrdiff_t y = std::ptrdiff_t(cells[j]) / width, x0 = std::ptrdiff_t(cells[j]) % width;
          const bool edge = border && (y < reach || x0 < reach || y >= height - reach || x0 >= width - reach);
          if (!edge && near[cells[j]] != stamp) continue;
          const auto* c = reinterpret_cast<const unsigned char*>(cells + j);
          const auto* v = reinterpret_cast<const unsigned char*>(values + j);
          kept.cells.insert(kept.cells.end(), c, c + sizeof(Cell));
          kept.values.insert(kept.values.end(), v, v + sizeof(V));
          ++length;
        }
        if (!length) continue;
        kept.images.push_back(part.images[r] + first_image);
        kept.lengths.push_back(length);
        ++records;
      }
      first_image += uint32_t(part.images_in_part);
    }
    kept.records_of_unit.push_back(records);
  }
}

}  // namespace

Sparse prune(const std::vector<SparseView>& parts, Kind kind, bool wide, std::ptrdiff_t units, std::ptrdiff_t height,
             std::ptrdiff_t width, const uint32_t* bounds, int reach, bool ring, int threads) {
  std::vector<Kept> kept(size_t(std::max(threads, 1)));
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int thread) {
    Kept& mine = kept[size_t(thread)];
    const auto run = [&](auto type) {
      using T = decltype(type);
      if (wide)
        prune_units<T, uint32_t>(parts, first, last, height, width, bounds, reach, ring, mine);
      else
        prune_units<T, uint16_t>(parts, first, last, height, width, bounds, reach, ring, mine);
    };
    if (kind == kFloat16) run(Float16{});
    else if (kind == kBfloat16) run(Bfloat16{});
    else run(Float32{});
  });
  size_t records = 0, cells = 0, values = 0;
  for (const Kept& k : kept) records += k.images.size(), cells += k.cells.size(), values += k.values.size();
  Sparse s;
  s.unit_start = Buffer<int64_t>(size_t(units) + 1);
  s.images = Buffer<uint32_t>(records);
  s.cell_start = Buffer<int64_t>(records + 1);
  s.cells = Buffer<unsigned char>(cells);
  s.values = Buffer<unsigned char>(values);
  int64_t record = 0, start = 0;
  size_t cell_at = 0, value_at = 0, unit = 0;
  s.unit_start.get()[0] = 0;
  for (Kept& k : kept) {
    size_t r = 0;
    for (const int64_t n : k.records_of_unit) {
      for (int64_t i = 0; i < n; ++i, ++r, ++record) {
        s.images.get()[record] = k.images[r];
        s.cell_start.get()[record] = start;
        start += k.lengths[r];
      }
      s.unit_start.get()[++unit] = record;
    }
    if (!k.cells.empty()) {
      std::memcpy(s.cells.get() + cell_at, k.cells.data(), k.cells.size());
      std::memcpy(s.values.get() + value_at, k.values.data(), k.values.size());
    }
    cell_at += k.cells.size();
    value_at += k.values.size();
    k = Kept();
  }
  s.cell_start.get()[record] = start;
  return s;
}

}  // namespace fd
