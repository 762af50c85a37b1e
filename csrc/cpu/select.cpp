// select: exact order statistics from the top, by three counting passes over the keys (11 + 11 + 10 bits).
#include <algorithm>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"

// The rank-th largest key (1 = largest); rank <= keys.size(). Reorders nothing.
uint32_t ranked(const std::vector<uint32_t>& keys, uint64_t rank, std::vector<uint32_t>& bins) {
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

inline float interpolate(const Axis& axis, std::ptrdiff_t pixel, const float* cells, std::ptrdiff_t stride) {
  const auto at = [&](int tap) {
    const std::ptrdiff_t cell = axis.start[pixel] + tap;
    return cells[(cell < axis.cells ? cell : axis.cells - 1) * stride];
  };
  if (axis.lerp) {
    const float product = (at(1) - at(0)) * axis.weights[2 * pixel + 1];
    return at(0) + product;
  }
  float sum = at(0) * axis.weights[pixel * axis.taps];
  for (int tap = 1; tap < axis.taps; ++tap) {
    const float product = at(tap) * axis.weights[pixel * axis.taps + tap];
    sum += product;
  }
  return sum;
}

template <typename T, typename Cell>
void pixels_above(const SparseView& part, std::ptrdiff_t unit, std::ptrdiff_t height, std::ptrdiff_t width,
                  const Axis& rows, const Axis& columns, bool ring, uint32_t bound, std::vector<uint32_t>& keys) {
  const auto* values = static_cast<const typename T::Type*>(part.values);
  const auto* cells = static_cast<const Cell*>(part.cells);
  const std::ptrdiff_t border = ring ? 1 : 0, pitch = width + 2 * border;
  // with no bound everything is retained, so the fill is never read
  const float fill = bound < kLowestKey ? -kHuge : from_key(bound);
  std::vector<float> map, row(static_cast<size_t>(pitch));
  for (int64_t r = part.unit_start[unit]; r < part.unit_start[unit + 1]; ++r) {
    map.assign(size_t((height + 2 * border) * pitch), ring ? 0.0f : fill);
    if (ring)
      for (std::ptrdiff_t y = 0; y < height; ++y) std::fill_n(map.begin() + (y + 1) * pitch + 1, width, fill);
    for (int64_t j = part.cell_start[r]; j < part.cell_start[r + 1]; ++j)
      map[size_t((cells[j] / width + border) * pitch + cells[j] % width + border)] = T::widen(values[j]);
    for (std::ptrdiff_t y = 0; y < rows.pixels; ++y) {
      for (std::ptrdiff_t c = 0; c < pitch; ++c) row[size_t(c)] = interpolate(rows, y, map.data() + c, pitch);
      for (std::ptrdiff_t x = 0; x < columns.pixels; ++x) {
        const float value = interpolate(columns, x, row.data(), 1);
        const uint32_t key = key_of(value);
        if (key > bound && value == value) keys.push_back(key);
      }
    }
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

constexpr int64_t kSamples = 128;

template <typename T>
uint32_t raised(const std::vector<ValuesView>& parts, std::ptrdiff_t unit, uint32_t bound, int64_t rank,
                std::vector<uint32_t>& keys, std::vector<uint32_t>& bins) {
  int64_t total = 0;
  for (const ValuesView& part : parts) total += part.start[unit + 1] - part.start[unit];
  if (total < rank) return bound;
  // samples i * total / kSamples of the parts side by side; a NaN counts as the lowest
  uint32_t sample[kSamples];
  size_t part = 0;
  int64_t before = 0;
  for (int64_t i = 0; i < kSamples; ++i) {
    const int64_t at = i * total / kSamples;
    while (at - before >= parts[part].start[unit + 1] - parts[part].start[unit])
      before += parts[part].start[unit + 1] - parts[part].start[unit], ++part;
    const float x =
        T::widen(static_cast<const typename T::Type*>(parts[part].values)[parts[part].start[unit] + at - before]);
    sample[i] = x == x ? key_of(x) : 0;
  }
  for (const int64_t slack : {6, 18}) {
    const int64_t j = rank * kSamples / total + slack;
    if (j >= kSamples) return bound;
    std::nth_element(sample, sample + j, sample + kSamples, [](uint32_t a, uint32_t b) { return a > b; });
    if (sample[j] <= bound) return bound;
    const float pivot = from_key(sample[j]);
    int64_t above = 0;
    for (const ValuesView& p : parts) {
      const auto* values = static_cast<const typename T::Type*>(p.values);
      for (int64_t from = p.start[unit]; from < p.start[unit + 1]; from += 1 << 16) {
        const int64_t to = std::min<int64_t>(from + (1 << 16), p.start[unit + 1]);
        int32_t n = 0;
        for (int64_t k = from; k < to; ++k) n += T::widen(values[k]) > pivot;
        above += n;
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

void select_pixels(const std::vector<SparseView>& parts, Kind kind, bool wide, std::ptrdiff_t units,
                   std::ptrdiff_t height, std::ptrdiff_t width, const Axis& rows, const Axis& columns, bool ring,
                   const uint32_t* bounds, const int64_t* ranks, std::ptrdiff_t n, uint32_t* chosen, int threads) {
  parallel(threads, units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    std::vector<uint32_t> keys, bins(2048);
    for (std::ptrdiff_t unit = first; unit < last; ++unit) {
      keys.clear();
      const auto run = [&](auto type, const SparseView& part) {
        using T = decltype(type);
        if (wide)
          pixels_above<T, uint32_t>(part, unit, height, width, rows, columns, ring, bounds[unit], keys);
        else
          pixels_above<T, uint16_t>(part, unit, height, width, rows, columns, ring, bounds[unit], keys);
      };
      for (const SparseView& part : parts)
        if (kind == kFloat16)
          run(Float16{}, part);
        else if (kind == kBfloat16)
          run(Bfloat16{}, part);
        else
          run(Float32{}, part);
      choose(keys, bounds[unit], ranks + unit * n, n, chosen + unit * n, bins);
    }
  });
}

}  // namespace fd
