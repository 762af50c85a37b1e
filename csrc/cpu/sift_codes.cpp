// sift_codes: sift of maps that are given as codes: a few values a place, each with its unit; every other unit is 0.
//
// The entries are put in order of unit, image, cell; what a unit has in one image is a map:
//
//     place 0: (3, 1.5) (7, 0.2)    place 1: (3, 0.5)     ->     unit 3: cells 0 1.5, 1 0.5    unit 7: cell 0 0.2
//
// Zeros change no sum: a lane begins at +0 and is never -0, so lane + 0 is the lane. Where a bound is at or above 0 the
// maps without entries are not looked at. Memory: 12 bytes an entry, 8 bytes a unit and thread, and what is kept.
// Nothing here depends on the instruction set: entries are taken one by one.
#include <algorithm>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {
#include "numbers.inc.hpp"
#include "dilate.inc.hpp"

struct Entry {
  uint32_t image, cell;
  float value;
};

struct Ordered {
  std::vector<int64_t> start;  // unit u owns entries[start[u] .. start[u + 1])
  Buffer<Entry> entries;
};

// Each thread counts the entries of its images, then places them where its share of each unit begins.
Ordered by_unit(const Codes& c, int threads) {
  const std::ptrdiff_t cells = c.height * c.width;
  std::vector<std::vector<int64_t>> next(size_t(std::max(threads, 1)));
  parallel(threads, c.images, [&](std::ptrdiff_t first, std::ptrdiff_t last, int thread) {
    std::vector<int64_t>& mine = next[size_t(thread)];
    mine.assign(size_t(c.units), 0);
    for (std::ptrdiff_t i = first * cells * c.k; i < last * cells * c.k; ++i)
      mine[size_t(c.indices[i])] += c.values[i] != 0.0f;
  });
  Ordered o;
  o.start.assign(size_t(c.units) + 1, 0);
  int64_t total = 0;
  for (size_t u = 0; u < size_t(c.units); ++u) {
    o.start[u] = total;
    for (std::vector<int64_t>& own : next)
      if (!own.empty()) {
        const int64_t n = own[u];
        own[u] = total;
        total += n;
      }
  }
  o.start[size_t(c.units)] = total;
  o.entries = Buffer<Entry>(size_t(total));
  Entry* entries = o.entries.get();
  parallel(threads, c.images, [&](std::ptrdiff_t first, std::ptrdiff_t last, int thread) {
    std::vector<int64_t>& mine = next[size_t(thread)];
    std::ptrdiff_t i = first * cells * c.k;
    for (std::ptrdiff_t image = first; image < last; ++image)
      for (std::ptrdiff_t cell = 0; cell < cells; ++cell)
        for (std::ptrdiff_t j = 0; j < c.k; ++j, ++i)
          if (c.values[i] != 0.0f)
            entries[mine[size_t(c.indices[i])]++] = Entry{uint32_t(image), uint32_t(cell), c.values[i]};
  });
  return o;
}

inline bool is_usable(float x) { return x <= kHuge && x >= -kHuge; }

// What one thread keeps, of consecutive units.
struct Kept {
  std::ptrdiff_t first = 0, last = 0;  // units
  std::vector<uint32_t> images, lengths, cells;
  std::vector<float> values;
  uint64_t fault = kNoFault;
};

class Sifter {
 public:
  Sifter(const Codes& codes, const uint32_t* bounds, int reach, bool ring, bool omit, float* means, float* maxima,
         int64_t* missing, Kept& to)
      : c(codes),
        bounds_(bounds),
        reach_(reach),
        ring_(ring),
        omit_(omit),
        means_(means),
        maxima_(maxima),
        missing_(missing),
        kept_(to),
        flat_(c.height, c.width, reach),
        words_((c.width + 63) / 64),
        above_(size_t(c.height * words_)),
        near_(above_.size()) {}

  // One map: its entries [from, to), in rising order of cells.
  void map(std::ptrdiff_t unit, std::ptrdiff_t image, const Entry* from, const Entry* to) {
    const std::ptrdiff_t cells = c.height * c.width, at = image * c.units + unit;
    const uint32_t bound = bounds_[unit];
    float lanes[16] = {0}, top = float_of(0xFF800000u);
    std::ptrdiff_t bad = 0;
    for (const Entry* e = from; e < to; ++e) {
      const float x = e->value;
      if (!is_usable(x)) {
        if (!omit_) {
          kept_.fault = std::min(kept_.fault, uint64_t(at) * uint64_t(cells) + e->cell);
          return;
        }
        ++bad;
        continue;
      }
      lanes[e->cell % 16] += x;
      top = x > top ? x : top;
    }
    if (to - from < cells && top < 0.0f) top = 0.0f;  // a cell without an entry
    for (int half = 8; half; half /= 2)
      for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    missing_[unit] += bad;
    const bool none = bad == cells;
    means_[at] = none ? float_of(0x7FC00000u) : lanes[0] / float(cells - bad);
    maxima_[at] = none ? float_of(0x7FC00000u) : top + 0.0f;
    const bool border = ring_ && bound < kZeroKey;
    if (!border && (none || key_of(top) <= bound)) return;
    keep(image, bound, border, from, to);
  }

 private:
  void keep(std::ptrdiff_t image, uint32_t bound, bool border, const Entry* from, const Entry* to) {
    const bool all = bound < kLowestKey, zeros = bound < kZeroKey;  // zeros: they are above
    const float threshold = all ? 0.0f : from_key(bound);
    const auto above = [&](float x) { return uint64_t(is_usable(x) && (all || x > threshold)); };
    const size_t before = kept_.cells.size();
    const Entry* next = from;
    const auto take = [&](uint32_t cell) {  // cells rise, and so do the entries
      while (next < to && next->cell < cell) ++next;
      const bool named = next < to && next->cell == cell;
      kept_.cells.push_back(cell);
      kept_.values.push_back(!named ? 0.0f : is_usable(next->value) ? next->value : Float32::nan());
    };
    if (flat_.fits && !border) {
      uint64_t bits = zeros ? flat_.all : 0;
      for (const Entry* e = from; e < to; ++e) bits = (bits & ~(uint64_t(1) << e->cell)) | above(e->value) << e->cell;
      for (uint64_t left = flat_.dilate(bits); left; left &= left - 1) take(uint32_t(lowest_bit(left)));
    } else {
      const uint64_t tail = c.width % 64 ? (uint64_t(1) << (c.width % 64)) - 1 : ~uint64_t(0);
      std::fill(above_.begin(), above_.end(), zeros ? ~uint64_t(0) : 0);
      for (std::ptrdiff_t y = 1; zeros && y <= c.height; ++y) above_[size_t(y * words_ - 1)] = tail;
      for (const Entry* e = from; e < to; ++e) {
        const std::ptrdiff_t y = e->cell / c.width, x = e->cell % c.width;
        uint64_t& word = above_[size_t(y * words_ + x / 64)];
        word = (word & ~(uint64_t(1) << (x % 64))) | above(e->value) << (x % 64);
      }
      dilate_rows(above_.data(), near_.data(), c.height, c.width, reach_, border);
      for (std::ptrdiff_t y = 0; y < c.height; ++y)
        for (std::ptrdiff_t i = 0; i < words_; ++i)
          for (uint64_t bits = near_[size_t(y * words_ + i)]; bits; bits &= bits - 1)
            take(uint32_t(y * c.width + i * 64 + lowest_bit(bits)));
    }
    if (kept_.cells.size() == before) return;
    kept_.images.push_back(uint32_t(image));
    kept_.lengths.push_back(uint32_t(kept_.cells.size() - before));
  }

  const Codes& c;
  const uint32_t* bounds_;
  int reach_;
  bool ring_, omit_;
  float *means_, *maxima_;
  int64_t* missing_;
  Kept& kept_;
  FlatMap flat_;
  std::ptrdiff_t words_;
  std::vector<uint64_t> above_, near_;
};

// The threads' shares, side by side.
Sparse canonical(const std::vector<Kept>& shares, const std::vector<int64_t>& records, bool wide, int threads) {
  const size_t units = records.size();
  Sparse s;
  s.unit_start = Buffer<int64_t>(units + 1);
  int64_t* unit_start = s.unit_start.get();
  unit_start[0] = 0;
  for (size_t u = 0; u < units; ++u) unit_start[u + 1] = unit_start[u] + records[u];
  std::vector<size_t> first(shares.size() + 1, 0);  // cell of each share
  for (size_t i = 0; i < shares.size(); ++i) first[i + 1] = first[i] + shares[i].cells.size();
  const auto n_records = size_t(unit_start[units]), n_cells = first.back();
  s.images = Buffer<uint32_t>(n_records);
  s.cell_start = Buffer<int64_t>(n_records + 1);
  s.cells = Buffer<unsigned char>(n_cells * (wide ? 4 : 2));
  s.values = Buffer<unsigned char>(n_cells * sizeof(float));
  s.cell_start.get()[n_records] = int64_t(n_cells);
  parallel(threads, std::ptrdiff_t(shares.size()), [&](std::ptrdiff_t from, std::ptrdiff_t to, int) {
    for (auto i = size_t(from); i < size_t(to); ++i) {
      const Kept& k = shares[i];
      if (k.cells.empty()) continue;
      const size_t n = k.cells.size(), record = size_t(unit_start[k.first]);
      std::memcpy(s.values.get() + first[i] * sizeof(float), k.values.data(), n * sizeof(float));
      if (wide)
        std::memcpy(s.cells.get() + first[i] * 4, k.cells.data(), n * 4);
      else
        for (size_t j = 0; j < n; ++j) reinterpret_cast<uint16_t*>(s.cells.get())[first[i] + j] = uint16_t(k.cells[j]);
      std::memcpy(s.images.get() + record, k.images.data(), k.images.size() * sizeof(uint32_t));
      auto at = int64_t(first[i]);
      for (size_t r = 0; r < k.lengths.size(); ++r) {
        s.cell_start.get()[record + r] = at;
        at += k.lengths[r];
      }
    }
  });
  return s;
}

}  // namespace

SiftResult sift_codes(const Codes& c, const uint32_t* bounds, int reach, bool ring, bool omit, float* means,
                      float* maxima, int threads) {
  const Ordered o = by_unit(c, threads);
  const Entry* entries = o.entries.get();
  SiftResult result;
  result.missing.assign(size_t(c.units), 0);
  std::fill_n(means, c.images * c.units, 0.0f);  // of maps without entries
  std::fill_n(maxima, c.images * c.units, 0.0f);
  std::vector<Kept> shares(size_t(std::max(threads, 1)));
  std::vector<int64_t> records(size_t(c.units), 0);
  parallel(threads, c.units, [&](std::ptrdiff_t first, std::ptrdiff_t last, int thread) {
    Kept& kept = shares[size_t(thread)];
    kept.first = first, kept.last = last;
    Sifter sifter(c, bounds, reach, ring, omit, means, maxima, result.missing.data(), kept);
    for (std::ptrdiff_t unit = first; unit < last; ++unit) {
      const bool everywhere = bounds[unit] < kZeroKey;  // a map without entries is above, too
      const size_t before = kept.images.size();
      const Entry *at = entries + o.start[size_t(unit)], *end = entries + o.start[size_t(unit) + 1];
      for (std::ptrdiff_t image = 0; everywhere ? image < c.images : at < end; ++image) {
        if (!everywhere) image = std::ptrdiff_t(at->image);
        const Entry* from = at;
        while (at < end && std::ptrdiff_t(at->image) == image) ++at;
        sifter.map(unit, image, from, at);
      }
      records[size_t(unit)] = int64_t(kept.images.size() - before);
    }
  });
  result.fault = kNoFault;
  for (const Kept& kept : shares) result.fault = std::min(result.fault, kept.fault);
  result.sparse = canonical(shares, records, c.height * c.width > 65536, threads);
  return result;
}

}  // namespace fd
