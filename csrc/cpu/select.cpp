// join, select, raise_bounds: order statistics of values, from the top.
#include <algorithm>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"
#include "ranked.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"

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

}  // namespace fd
