// prune: join parts of consecutive images and keep only the cells within `reach` of one above the (risen) bound.
//
// A record's cells become bits of their rows; the bits above are dilated; the cells whose bit is set are copied:
//
//     retained  . a b .     above  . # . .     dilated  # # # .     kept  a b
//               . c . .            . . . .              # # # .           c
//               . . d .            . . . .              . . . .
//
// Units are independent; each thread takes a contiguous range of them and the ranges are joined in order.
#include <algorithm>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"
#include "dilate.inc.hpp"

struct Kept {
  Buffer<uint32_t> images, lengths;  // room for as much as could be kept; pages never written cost nothing
  Buffer<unsigned char> cells, values;
  size_t records = 0, count = 0;
  std::vector<int64_t> records_of_unit;
};

template <typename T>
inline bool any_above(const typename T::Type* values, int64_t n, bool everything, float threshold) {
  if (everything) {
    for (int64_t j = 0; j < n; ++j) {
      const float x = T::widen(values[j]);
      if (x == x) return true;
    }
    return false;
  }
  for (; n > 0; n -= 16, values += 16) {  // a few at a time without a branch, then one
    bool any = false;
    for (int64_t j = 0; j < (n < 16 ? n : 16); ++j) any |= T::widen(values[j]) > threshold;
    if (any) return true;
  }
  return false;
}

template <typename T, typename Cell>
void prune_units(const std::vector<SparseView>& parts, std::ptrdiff_t first, std::ptrdiff_t last, std::ptrdiff_t height,
                 std::ptrdiff_t width, const uint32_t* bounds, int reach, bool ring, Kept& kept) {
  using V = typename T::Type;
  size_t most_records = 0, most_cells = 0;
  for (const SparseView& part : parts) {
    most_records += size_t(part.unit_start[last] - part.unit_start[first]);
    most_cells += size_t(part.cell_start[part.unit_start[last]] - part.cell_start[part.unit_start[first]]);
  }
  kept.images = Buffer<uint32_t>(most_records);
  kept.lengths = Buffer<uint32_t>(most_records);
  kept.cells = Buffer<unsigned char>(most_cells * sizeof(Cell));
  kept.values = Buffer<unsigned char>(most_cells * sizeof(V));
  Cell* to_cells = reinterpret_cast<Cell*>(kept.cells.get());
  V* to_values = reinterpret_cast<V*>(kept.values.get());

  // where each cell's bit lies: bit place % 64 of word place / 64, rows beginning at a word
  const std::ptrdiff_t words = (width + 63) / 64;
  std::vector<uint32_t> place(size_t(height * width));
  for (std::ptrdiff_t y = 0; y < height; ++y)
    for (std::ptrdiff_t x = 0; x < width; ++x) place[size_t(y * width + x)] = uint32_t(y * words * 64 + x);
  const FlatMap flat(height, width, reach);
  std::vector<uint64_t> bits(size_t(height * words)), near(size_t(height * words));

  for (std::ptrdiff_t unit = first; unit < last; ++unit) {
    const uint32_t bound = bounds[unit];
    const bool everything = bound < kLowestKey, border = ring && bound < kZeroKey;
    const float threshold = everything ? 0.0f : from_key(bound);
    const size_t before = kept.records;
    uint32_t first_image = 0;
    for (const SparseView& part : parts) {
      const auto* cells = static_cast<const Cell*>(part.cells);
      const auto* values = static_cast<const V*>(part.values);
      for (int64_t r = part.unit_start[unit]; r < part.unit_start[unit + 1]; ++r) {
        const int64_t from = part.cell_start[r], to = part.cell_start[r + 1];
        if (!border && !any_above<T>(values + from, to - from, everything, threshold)) continue;
        const size_t start = kept.count;
        size_t n = start;
        if (flat.fits && !border) {  // the map is one word
          uint64_t above = 0;
          for (int64_t j = from; j < to; ++j) {
            const float x = T::widen(values[j]);
            above |= uint64_t(everything ? x == x : x > threshold) << (cells[j] & 63);
          }
          const uint64_t close = flat.dilate(above);
          for (int64_t j = from; j < to; ++j) {
            to_cells[n] = cells[j];
            to_values[n] = values[j];
            n += size_t(close >> (cells[j] & 63) & 1);
          }
        } else {
          std::fill(bits.begin(), bits.end(), uint64_t(0));
          // cells rise, so a word is gathered in a register until the next one begins
          uint32_t word = 0;
          uint64_t gathered = 0;
          for (int64_t j = from; j < to; ++j) {
            const float x = T::widen(values[j]);
            const uint32_t at = place[cells[j]];
            if (at >> 6 != word) {
              bits[word] = gathered;
              word = at >> 6;
              gathered = 0;
            }
            gathered |= uint64_t(everything ? x == x : x > threshold) << (at & 63);
          }
          bits[word] = gathered;
          dilate_rows(bits.data(), near.data(), height, width, reach, border);
          for (int64_t j = from; j < to; ++j) {
            to_cells[n] = cells[j];
            to_values[n] = values[j];
            n += size_t(near[place[cells[j]] >> 6] >> (place[cells[j]] & 63) & 1);
          }
        }
        if (n == start) continue;
        kept.images.get()[kept.records] = part.images[r] + first_image;
        kept.lengths.get()[kept.records++] = uint32_t(n - start);
        kept.count = n;
      }
      first_image += uint32_t(part.images_in_part);
    }
    kept.records_of_unit.push_back(int64_t(kept.records - before));
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
    if (kind == kFloat16)
      run(Float16{});
    else if (kind == kBfloat16)
      run(Bfloat16{});
    else
      run(Float32{});
  });
  size_t records = 0, cells = 0;
  for (const Kept& k : kept) records += k.records, cells += k.count;
  const size_t cell_width = wide ? 4 : 2, value_width = width_of(kind);
  Sparse s;
  s.unit_start = Buffer<int64_t>(size_t(units) + 1);
  s.images = Buffer<uint32_t>(records);
  s.cell_start = Buffer<int64_t>(records + 1);
  s.cells = Buffer<unsigned char>(cells * cell_width);
  s.values = Buffer<unsigned char>(cells * value_width);
  // where each thread's share begins; the shares are copied side by side
  struct Share {
    int64_t record, cell;
    size_t unit;
  };
  std::vector<Share> shares;
  Share at{0, 0, 0};
  for (const Kept& k : kept) {
    shares.push_back(at);
    at.record += int64_t(k.records);
    at.cell += int64_t(k.count);
    at.unit += k.records_of_unit.size();
  }
  s.unit_start.get()[0] = 0;
  s.cell_start.get()[records] = int64_t(cells);
  parallel(threads, std::ptrdiff_t(kept.size()), [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    for (std::ptrdiff_t i = first; i < last; ++i) {
      Kept& k = kept[size_t(i)];
      Share to = shares[size_t(i)];
      std::memcpy(s.cells.get() + size_t(to.cell) * cell_width, k.cells.get(), k.count * cell_width);
      std::memcpy(s.values.get() + size_t(to.cell) * value_width, k.values.get(), k.count * value_width);
      for (size_t r = 0; r < k.records; ++r) {
        s.images.get()[size_t(to.record) + r] = k.images.get()[r];
        s.cell_start.get()[size_t(to.record) + r] = to.cell;
        to.cell += k.lengths.get()[r];
      }
      for (const int64_t n : k.records_of_unit) s.unit_start.get()[++to.unit] = to.record += n;
      k = Kept();
    }
  });
  return s;
}

}  // namespace fd
