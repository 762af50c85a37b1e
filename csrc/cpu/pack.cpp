// pack: label maps of one image -> one plane a label. Two reads of the map: which labels there are, then their bits.
//
//     labels  0 7 7 3 0 ...        plane of 3:  0 0 0 1 0 ...   (bit 3 of word 0)
//                                  plane of 7:  0 1 1 0 0 ...   (bits 1 and 2)
#include <algorithm>

#include "drivers.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"

struct Plane {
  int32_t concept_of;
  std::ptrdiff_t channel;  // -1: all channels
  int64_t label;
};

template <typename Label>
Packed pack_typed(const Label* labels, std::ptrdiff_t channels, std::ptrdiff_t pixels, const int32_t* columns,
                  std::ptrdiff_t n_columns, bool once) {
  Packed out;
  std::vector<Plane> planes;
  std::vector<unsigned char> seen(size_t(n_columns), 0);
  int64_t unknown = 0;
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    if (!once) std::fill(seen.begin(), seen.end(), 0);
    Label before = 0;
    for (std::ptrdiff_t i = 0; i < pixels; ++i) {
      const Label label = labels[c * pixels + i];
      if (label == before) continue;  // runs are long
      before = label;
      if (label <= 0) continue;
      if (std::ptrdiff_t(label) >= n_columns || columns[label] < 0) {
        if (!unknown || int64_t(label) < unknown) unknown = int64_t(label);
      } else if (!seen[size_t(label)]) {
        seen[size_t(label)] = 1;
        planes.push_back(Plane{columns[label], once ? -1 : c, int64_t(label)});
      }
    }
  }
  const size_t words = size_t((pixels + 63) / 64);
  if (unknown) {
    out.unknown = unknown;
    out.words = Buffer<uint64_t>(0);
    return out;
  }
  // rising concept; channels in order
  std::stable_sort(planes.begin(), planes.end(),
                   [](const Plane& a, const Plane& b) { return a.concept_of < b.concept_of; });
  out.words = Buffer<uint64_t>(planes.size() * words);
  std::fill_n(out.words.get(), planes.size() * words, uint64_t(0));
  std::vector<uint64_t*> row(size_t(n_columns), nullptr);
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    for (size_t p = 0; p < planes.size(); ++p)
      if (planes[p].channel < 0 || planes[p].channel == c) row[size_t(planes[p].label)] = out.words.get() + p * words;
    for (size_t w = 0; w < words; ++w) {
      const Label* from = labels + c * pixels + std::ptrdiff_t(w) * 64;
      const std::ptrdiff_t n = std::min<std::ptrdiff_t>(64, pixels - std::ptrdiff_t(w) * 64);
      for (std::ptrdiff_t i = 0; i < n;) {  // a run of one label inside the word
        std::ptrdiff_t stop = i + 1;
        while (stop < n && from[stop] == from[i]) ++stop;
        if (from[i] > 0)
          row[size_t(from[i])][w] |= (stop - i == 64 ? ~uint64_t(0) : (uint64_t(1) << (stop - i)) - 1) << i;
        i = stop;
      }
    }
  }
  for (size_t p = 0; p < planes.size(); ++p) {
    int64_t area = 0;
    for (size_t w = 0; w < words; ++w) area += popcount(out.words.get()[p * words + w]);
    out.concept_of.push_back(planes[p].concept_of);
    out.pixels.push_back(area);
  }
  return out;
}

}  // namespace

Packed pack(const void* labels, bool wide, std::ptrdiff_t channels, std::ptrdiff_t pixels, const int32_t* columns,
            std::ptrdiff_t n_columns, bool once) {
  if (wide) return pack_typed(static_cast<const int32_t*>(labels), channels, pixels, columns, n_columns, once);
  return pack_typed(static_cast<const uint16_t*>(labels), channels, pixels, columns, n_columns, once);
}

}  // namespace fd
