// The rank-th largest of many keys.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fd {

inline constexpr auto kFalling = [](uint32_t a, uint32_t b) { return a > b; };

// The rank-th largest key (1 = largest); rank <= keys.size(). Reorders nothing. Samples give two keys that hold the
// answer between them, which one pass proves; only what lies between them is looked at again. Where they do not
// (ties), three counting passes (11 + 11 + 10 bits) find it.
inline uint32_t ranked(const std::vector<uint32_t>& keys, uint64_t rank, std::vector<uint32_t>& bins) {
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

}  // namespace fd
