// select: exact order statistics from the top, by three counting passes over the keys (11 + 11 + 10 bits).
#include <algorithm>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"

constexpr auto kFalling = [](uint32_t a, uint32_t b) { return a > b; };

// The rank-th largest key (1 = largest); rank <= keys.size(). Reorders nothing. Samples give two keys that hold the
// answer between them, which one pass proves; only what lies between them is looked at again. Where they do not
// (ties), three counting passes (11 + 11 + 10 bits) find it.
uint32_t ranked(const std::vector<uint32_t>& keys, uint64_t rank, std::vector<uint32_t>& bins) {
  const size_t n = keys.size();
  constexpr size_t kSample = 256, kSlack = 24;  // 3 sigma of a sample of 256
  if (n >= 8 * kSample) {
    uint32_t sample[kSample];
    for (size_t i = 0; i < kSample; ++i) sample[i] = keys[i * n / kSample];
    std::sort(sample, sample + kSample, kFalling);
    const size_t at = size_t(rank - 1) * kSample / n;
    const uint32_t high = at < kSlack ? 0xFFFFFFFFu : sample[at - kSlack];
    const uint32_t low = at + kSlack >= kSample ? 0 : sample[at + kSlack];
    std::vector<uint32_t> between(n + 1);
    size_t over = 0, count = 0;
    for (const uint32_t key : keys) {
      over += key > high;
      between[count] = key;
      count += size_t(key <= high) & size_t(key >= low);
    }
    if (rank > over && rank <= over + count && count < n / 2) {
      const auto to = between.begin() + std::ptrdiff_t(rank - over - 1);
      std::nth_element(between.begin(), to, between.begin() + std::ptrdiff_t(count), kFalling);
      return *to;
    }
  }
  uint32_t prefix = 0;
  const int shifts[] = {21, 10, 0}, widths[] = {11, 11, 10};
  for (int pass = 0; pass < 3; ++pass) {
    const int shift = shifts[pass], above = shift + widths[pass];
    const uint32_t last = (uint32_t(1) << widths[pass]) - 1;
    std::fill(bins.begin(), bins.begin() + last + 1, 0u);
    for (const uint32_t key : keys)
      if (above == 32 || key >> above == prefix) ++bins[key >> shift & last];
    uint32_t bin = last;
    while (bins[bin] < rank) rank -= bins[bin--];
    prefix = prefix << widths[pass] | bin;
  }
  return prefix;
}

void choose(const std::vector<uint32_t>& keys, uint32_t bound, const int64_t* ranks, std::ptrdiff_t n, uint32_t* chosen,
            std::vector<uint32_t>& bins) {
  for (std::ptrdiff_t j = 0; j < n; ++j)
    chosen[j] = uint64_t(ranks[j]) > keys.size() ? bound : ranked(keys, uint64_t(ranks[j]), bins);
}

// Append the keys above the bound. Without a branch a value: those above come in clumps that no predictor learns.
template <typename T>
void keys_above(const ValuesView& part, std::ptrdiff_t unit, uint32_t bound, std::vector<uint32_t>& keys) {
  const auto* values = static_cast<const typename T::Type*>(part.values);
  const int64_t from = part.start[unit], to = part.start[unit + 1];
  size_t n = keys.size();
  keys.resize(n + size_t(to - from));
  uint32_t* out = keys.data();
  for (int64_t j = from; j < to; ++j) {
    const float x = T::widen(values[j]);
    const uint32_t key = key_of(x);
    out[n] = key;
    n += size_t(key > bound) & size_t(x == x);
  }
  keys.resize(n);
}

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

Joined join(const std::vector<ValuesView>& parts, Kind kind, std::ptrdiff_t units, const uint32_t* bounds,
            int threads) {
  Joined joined;
  const size_t width = width_of(kind);
  joined.start = Buffer<int64_t>(size_t(units) + 1);
  int64_t* start = joined.start.get();
  // Two passes: how many of each unit stay, then where they go.
  const auto each = [&](std::ptrdiff_t unit, auto visit) {
    const auto run = [&](auto type) {
      using T = decltype(type);
      const bool all = bounds[unit] < kLowestKey;
      const float bound = all ? 0.0f : from_key(bounds[unit]);
      for (const ValuesView& part : parts) {
        const auto* values = static_cast<const typename T::Type*>(part.values);
        for (int64_t j = part.start[unit]; j < part.start[unit + 1]; ++j) {
          const float x = T::widen(values[j]);
          if (visit(values[j], all ? x == x : x > bound)) return;
        }
      }
    };
    if (kind == kFloat16)
      run(Float16{});
    else if (kind == kBfloat16)
      run(Bfloat16{});
    else
      run(Float32{});
  };
  start[0] = 0;
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    for (std::ptrdiff_t unit = first; unit < last; ++unit) {
      int64_t n = 0;
      each(unit, [&](auto, bool stays) { return n += stays, false; });
      start[unit + 1] = n;
    }
  });
  for (std::ptrdiff_t unit = 0; unit < units; ++unit) start[unit + 1] += start[unit];
  joined.values = Buffer<unsigned char>(size_t(start[units]) * width);
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    for (std::ptrdiff_t unit = first; unit < last; ++unit) {
      if (start[unit] == start[unit + 1]) continue;
      unsigned char* to = joined.values.get() + size_t(start[unit]) * width;
      unsigned char* end = joined.values.get() + size_t(start[unit + 1]) * width;
      each(unit, [&](auto value, bool stays) {  // no branch a value: what does not stay is written over
        std::memcpy(to, &value, sizeof value);
        to += stays * sizeof value;
        return to == end;
      });
    }
  });
  return joined;
}

void select(const std::vector<ValuesView>& parts, Kind kind, std::ptrdiff_t units, const uint32_t* bounds,
            const int64_t* ranks, std::ptrdiff_t n, uint32_t* chosen, int threads) {
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    std::vector<uint32_t> keys, bins(2048);
    for (std::ptrdiff_t unit = first; unit < last; ++unit) {
      keys.clear();
      for (const ValuesView& part : parts)
        if (kind == kFloat16)
          keys_above<Float16>(part, unit, bounds[unit], keys);
        else if (kind == kBfloat16)
          keys_above<Bfloat16>(part, unit, bounds[unit], keys);
        else
          keys_above<Float32>(part, unit, bounds[unit], keys);
      choose(keys, bounds[unit], ranks + unit * n, n, chosen + unit * n, bins);
    }
  });
}

namespace {

constexpr int64_t kMostSamples = 128, kFewSamples = 32, kFew = 4096;

template <typename T>
uint32_t raised(const std::vector<ValuesView>& parts, std::ptrdiff_t unit, uint32_t bound, int64_t rank,
                std::vector<uint32_t>& keys, std::vector<uint32_t>& bins) {
  int64_t total = 0;
  for (const ValuesView& part : parts) total += part.start[unit + 1] - part.start[unit];
  if (total < rank) return bound;
  // samples i * total / n of the parts side by side; a NaN counts as the lowest
  const int64_t n = total < kFew ? kFewSamples : kMostSamples;
  uint32_t sample[kMostSamples];
  size_t part = 0;
  int64_t before = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = i * total / n;
    while (at - before >= parts[part].start[unit + 1] - parts[part].start[unit])
      before += parts[part].start[unit + 1] - parts[part].start[unit], ++part;
    const float x =
        T::widen(static_cast<const typename T::Type*>(parts[part].values)[parts[part].start[unit] + at - before]);
    sample[i] = x == x ? key_of(x) : 0;
  }
  for (const int64_t slack : {n / 20, n / 7}) {  // one sigma, three
    const int64_t j = rank * n / total + slack;
    if (j >= n) return bound;
    std::nth_element(sample, sample + j, sample + n, [](uint32_t a, uint32_t b) { return a > b; });
    if (sample[j] <= bound) return bound;
    const float pivot = from_key(sample[j]);
    int64_t above = 0;
    for (const ValuesView& p : parts) {
      const auto* values = static_cast<const typename T::Type*>(p.values);
      for (int64_t from = p.start[unit]; from < p.start[unit + 1]; from += 1 << 16) {
        const int64_t to = std::min<int64_t>(from + (1 << 16), p.start[unit + 1]);
        int32_t own = 0;
        for (int64_t k = from; k < to; ++k) own += T::widen(values[k]) > pivot;
        above += own;
      }
    }
    if (above >= rank) return sample[j];
  }
  keys.clear();
  for (const ValuesView& p : parts) keys_above<T>(p, unit, bound, keys);
  return uint64_t(rank) > keys.size() ? bound : ranked(keys, uint64_t(rank), bins);
}

}  // namespace

void raise_bounds(const std::vector<ValuesView>& parts, Kind kind, std::ptrdiff_t units, const uint32_t* bounds,
                  int64_t rank, uint32_t* risen, int threads) {
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    std::vector<uint32_t> keys, bins(2048);
    for (std::ptrdiff_t unit = first; unit < last; ++unit)
      risen[unit] = kind == kFloat16    ? raised<Float16>(parts, unit, bounds[unit], rank, keys, bins)
                    : kind == kBfloat16 ? raised<Bfloat16>(parts, unit, bounds[unit], rank, keys, bins)
                                        : raised<Float32>(parts, unit, bounds[unit], rank, keys, bins);
  });
}

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
