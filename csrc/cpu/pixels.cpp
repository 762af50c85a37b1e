// select_pixels, raise_pixels: order statistics over the pixels of upsampled maps, from the retained cells.
#include <algorithm>

#include "drivers.hpp"
#include "parallel.hpp"
#include "ranked.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"

// A unit's records of all parts, as maps to be upsampled.
template <typename T, typename Cell>
class Maps {
 public:
  Maps(const Isa& isa, const std::vector<SparseView>& parts, std::ptrdiff_t height, std::ptrdiff_t width,
       const Axis& rows, const Axis& columns, bool ring)
      : isa_(isa),
        parts_(parts),
        width_(width),
        border_(ring ? 1 : 0),
        pitch_(width + 2 * border_),
        cells_(size_t((height + 2 * border_) * pitch_) + 16, 0.0f),
        row_(size_t(pitch_)),
        place_(size_t(height * width)),
        row_of_(size_t(height * width)),
        map_{cells_.data(), rows, columns, 0, 0, 0, 0} {
    for (std::ptrdiff_t cell = 0; cell < height * width; ++cell) {
      row_of_[size_t(cell)] = uint32_t(cell / width + border_);
      place_[size_t(cell)] = uint32_t(row_of_[size_t(cell)] * pitch_ + cell % width + border_);
    }
  }

  // How many of the unit's pixels are above `high`; those in (low, high] are put into `kept`. `fill`: what absent
  // cells read as.
  int64_t scan(std::ptrdiff_t unit, float fill, float low, float high, std::vector<float>& kept) {
    const std::ptrdiff_t rows = map_.rows.cells;
    const bool lit = border_ && 0.0f > low;  // the ring is above
    for (std::ptrdiff_t y = border_; y < rows - border_; ++y)
      std::fill_n(cells_.begin() + y * pitch_ + border_, width_, fill);
    const auto pixels = size_t(map_.rows.pixels * map_.columns.pixels);
    int64_t above = 0;
    size_t count = 0;
    for (const SparseView& part : parts_) {
      const auto* values = static_cast<const typename T::Type*>(part.values);
      const auto* cells = static_cast<const Cell*>(part.cells);
      for (int64_t r = part.unit_start[unit]; r < part.unit_start[unit + 1]; ++r) {
        const int64_t from = part.cell_start[r], to = part.cell_start[r + 1];
        bool any = lit || !map_.rows.lerp || !map_.columns.lerp;
        for (int64_t j = from; j < to; ++j) any |= T::widen(values[j]) > low;
        if (!any) continue;
        map_.first_row = lit ? 0 : rows, map_.last_row = lit ? rows - 1 : -1;
        map_.first_column = lit ? 0 : pitch_, map_.last_column = lit ? pitch_ - 1 : -1;
        for (int64_t j = from; j < to; ++j) {
          const float value = T::widen(values[j]);
          cells_[place_[cells[j]]] = value;
          if (!(value > low)) continue;
          const std::ptrdiff_t y = row_of_[cells[j]], x = place_[cells[j]] - y * pitch_;
          map_.first_row = std::min(map_.first_row, y), map_.last_row = std::max(map_.last_row, y);
          map_.first_column = std::min(map_.first_column, x), map_.last_column = std::max(map_.last_column, x);
        }
        if (kept.size() < count + pixels + 16) kept.resize(2 * (count + pixels + 16));
        PixelScratch s{row_.data(), kept.data(), count};
        above += isa_.scan_pixels(map_, low, high, s);
        count = s.count;
        for (int64_t j = from; j < to; ++j) cells_[place_[cells[j]]] = fill;
      }
    }
    found = count;
    return above;
  }

  // The unit's cells above the bound.
  void cells_above(std::ptrdiff_t unit, float bound, std::vector<float>& to) const {
    to.clear();
    size_t n = 0;
    for (const SparseView& part : parts_) {
      const auto* values = static_cast<const typename T::Type*>(part.values);
      const int64_t from = part.cell_start[part.unit_start[unit]], end = part.cell_start[part.unit_start[unit + 1]];
      to.resize(n + size_t(end - from));
      for (int64_t j = from; j < end; ++j) {  // no branch a value
        const float value = T::widen(values[j]);
        to[n] = value;
        n += value > bound;
      }
    }
    to.resize(n);
  }

  size_t found = 0;  // pixels that the last scan put into `kept`

 private:
  const Isa& isa_;
  const std::vector<SparseView>& parts_;
  std::ptrdiff_t width_, border_, pitch_;
  std::vector<float> cells_, row_;
  std::vector<uint32_t> place_, row_of_;
  PixelMap map_;
};

// use(Maps<T, Cell>) for the types at hand
template <typename Use>
void each_kind(const Isa& isa, const std::vector<SparseView>& parts, Kind kind, bool wide, std::ptrdiff_t height,
               std::ptrdiff_t width, const Axis& rows, const Axis& columns, bool ring, Use use) {
  const auto run = [&](auto type) {
    using T = decltype(type);
    if (wide)
      use(Maps<T, uint32_t>(isa, parts, height, width, rows, columns, ring));
    else
      use(Maps<T, uint16_t>(isa, parts, height, width, rows, columns, ring));
  };
  if (kind == kFloat16)
    run(Float16{});
  else if (kind == kBfloat16)
    run(Bfloat16{});
  else
    run(Float32{});
}

// Order statistics of a unit's pixels. They cannot all be held: at 1 % of 56 x 56 pixels that is millions. Cells tell
// where to look (a cell is worth `scale` pixels): a pivot above which lie a little more than the rank, and one above
// which lie a little fewer, both proved by counting; only the pixels between them are kept and ranked.
constexpr int kTries = 4;

template <typename M>
void choose_pixels(M& maps, std::ptrdiff_t unit, double scale, uint32_t bound, const int64_t* ranks, std::ptrdiff_t n,
                   uint32_t* chosen, std::vector<float>& cells, std::vector<float>& kept, std::vector<uint32_t>& keys,
                   std::vector<uint32_t>& bins) {
  const bool everything = bound < kLowestKey;
  const float fill = everything ? -kHuge : from_key(bound), least = everything ? -infinity() : fill;
  const int64_t deep = *std::max_element(ranks, ranks + n), shallow = *std::min_element(ranks, ranks + n);
  float low = least, high = infinity();
  int64_t over = 0;  // pixels above `high`
  if (deep - shallow <= 1 && deep > 64) {
    maps.cells_above(unit, least, cells);
    double place = double(deep) / scale * 1.1;
    for (int tries = 0; tries < kTries; ++tries) {
      const auto at = std::ptrdiff_t(place);
      if (at >= std::ptrdiff_t(cells.size())) break;
      std::nth_element(cells.begin(), cells.begin() + at, cells.end(), [](float a, float b) { return a > b; });
      const float pivot = cells[size_t(at)];
      if (!(pivot > low) || !(pivot < high)) break;
      // the last scan's pixels in (pivot, high] are of no use yet: (pivot, pivot] holds none
      const int64_t above = maps.scan(unit, fill, pivot, pivot, kept);
      if (above >= deep)
        low = pivot;
      else if (above < shallow)
        high = pivot, over = above;
      const bool close = double(above) <= 1.25 * double(deep);
      if (low == pivot && close && high < infinity()) break;
      // next: a little above the rank while there is no close pivot below it, else a little below
      const double aim = low == pivot && close ? 0.85 * double(shallow) : (low > least ? 0.9 : 1.12) * double(deep);
      place = place * aim / double(std::max<int64_t>(above, 1));
    }
  }
  maps.scan(unit, fill, low, high, kept);
  keys.clear();
  for (size_t i = 0; i < maps.found; ++i) keys.push_back(key_of(kept[i]));
  for (std::ptrdiff_t j = 0; j < n; ++j) {
    const int64_t rank = ranks[j] - over;
    chosen[j] = rank > int64_t(keys.size()) ? bound : ranked(keys, uint64_t(rank), bins);
  }
}

}  // namespace

void select_pixels(const Isa& isa, const std::vector<SparseView>& parts, Kind kind, bool wide, std::ptrdiff_t units,
                   std::ptrdiff_t height, std::ptrdiff_t width, const Axis& rows, const Axis& columns, bool ring,
                   const uint32_t* bounds, const int64_t* ranks, std::ptrdiff_t n, uint32_t* chosen, int threads) {
  const double scale = double(rows.pixels) * double(columns.pixels) / (double(height) * double(width));
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    std::vector<uint32_t> keys, bins(2048);
    std::vector<float> cells, kept;
    const auto each = [&](auto maps) {
      for (std::ptrdiff_t unit = first; unit < last; ++unit)
        choose_pixels(maps, unit, scale, bounds[unit], ranks + unit * n, n, chosen + unit * n, cells, kept, keys, bins);
    };
    each_kind(isa, parts, kind, wide, height, width, rows, columns, ring, each);
  });
}

void raise_pixels(const Isa& isa, const std::vector<SparseView>& parts, Kind kind, bool wide, std::ptrdiff_t units,
                  std::ptrdiff_t height, std::ptrdiff_t width, const Axis& rows, const Axis& columns, bool ring,
                  const uint32_t* bounds, int64_t rank, uint32_t* risen, int threads) {
  const int64_t place = rank * 13 * height * width / (10 * rows.pixels * columns.pixels);
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    std::vector<float> cells, kept;
    const auto each = [&](auto maps) {
      for (std::ptrdiff_t unit = first; unit < last; ++unit) {
        const bool everything = bounds[unit] < kLowestKey;
        const float fill = everything ? -kHuge : from_key(bounds[unit]);
        risen[unit] = bounds[unit];
        maps.cells_above(unit, everything ? -infinity() : fill, cells);
        if (place >= int64_t(cells.size())) continue;
        std::nth_element(cells.begin(), cells.begin() + place, cells.end(), [](float a, float b) { return a > b; });
        const float pivot = cells[size_t(place)];
        if (maps.scan(unit, fill, pivot, pivot, kept) >= rank) risen[unit] = key_of(pivot);
      }
    };
    each_kind(isa, parts, kind, wide, height, width, rows, columns, ring, each);
  });
}

}  // namespace fd
