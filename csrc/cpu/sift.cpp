// sift and filter: each thread takes a contiguous range of units, over the images in order, so that what it keeps of
// a unit comes in canonical order (image, cell) and each unit's share is copied once, as a whole.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "drivers.hpp"
#include "growing.hpp"
#include "parallel.hpp"

namespace fd {
namespace {

// What is kept of one unit: its records (image, number of cells), their cells and values.
struct Kept {
  Growing records, cells, values;
};

// Memory for what a batch keeps, lent from call to call: asking the system for it again costs more than the copying.
class Lent {
 public:
  std::vector<Kept> kept;
  explicit Lent(size_t units) {
    {
      const std::lock_guard<std::mutex> hold(lock());
      if (!shelf().empty()) {
        kept = std::move(shelf().back());
        shelf().pop_back();
      }
    }
    if (kept.size() < units) kept = std::vector<Kept>(units);
    for (Kept& k : kept) k.records.clear(), k.cells.clear(), k.values.clear();
  }
  ~Lent() {
    size_t room = 0;
    for (const Kept& k : kept) room += k.records.room() + k.cells.room() + k.values.room();
    const std::lock_guard<std::mutex> hold(lock());
    if (room <= kMostKept && shelf().size() < 2) shelf().push_back(std::move(kept));
  }

 private:
  static constexpr size_t kMostKept = size_t(16) << 20;  // bytes
  static std::mutex& lock() {
    static std::mutex m;
    return m;
  }
  static std::vector<std::vector<Kept>>& shelf() {
    static std::vector<std::vector<Kept>> s;
    return s;
  }
};

void copy(const Growing& from, void* to) {
  if (from.size()) std::memcpy(to, from.data(), from.size());
}

Sparse canonical(const std::vector<Kept>& kept, size_t units, bool wide, size_t width, int threads) {
  const size_t cell_width = wide ? 4 : 2;
  Sparse s;
  s.unit_start = Buffer<int64_t>(units + 1);
  std::vector<int64_t> cells(units + 1, 0);
  int64_t* records = s.unit_start.get();
  records[0] = 0;
  for (size_t u = 0; u < units; ++u) {
    records[u + 1] = records[u] + int64_t(kept[u].records.size() / 8);
    cells[u + 1] = cells[u] + int64_t(kept[u].values.size() / width);
  }
  const auto n_records = size_t(records[units]), n_cells = size_t(cells[units]);
  s.images = Buffer<uint32_t>(n_records);
  s.cell_start = Buffer<int64_t>(n_records + 1);
  s.cells = Buffer<unsigned char>(n_cells * cell_width);
  s.values = Buffer<unsigned char>(n_cells * width);
  s.cell_start.get()[n_records] = int64_t(n_cells);
  parallel(threads, std::ptrdiff_t(units), [&](std::ptrdiff_t first, std::ptrdiff_t last, int) {
    for (auto u = size_t(first); u < size_t(last); ++u) {
      const Kept& k = kept[u];
      copy(k.cells, s.cells.get() + size_t(cells[u]) * cell_width);
      copy(k.values, s.values.get() + size_t(cells[u]) * width);
      int64_t at = cells[u];
      const unsigned char* record = k.records.data();
      for (int64_t r = records[u]; r < records[u + 1]; ++r, record += 8) {
        uint32_t pair[2];
        std::memcpy(pair, record, 8);
        s.images.get()[r] = pair[0];
        s.cell_start.get()[r] = at;
        at += pair[1];
      }
    }
  });
  return s;
}

}  // namespace

SiftResult sift(const Isa& isa, SiftArguments a, int threads) {
  const View& v = a.view;
  const std::ptrdiff_t cells = v.height * v.width;
  const size_t width = width_of(v.kind), words = size_t((v.width + 63) / 64);
  const bool wide = cells > 65536;
  const size_t cell_width = wide ? 4 : 2;
  Lent lent(static_cast<size_t>(v.units));
  std::vector<Kept>& kept = lent.kept;
  std::vector<uint64_t> faults(size_t(std::max(threads, 1)), kNoFault);
  SiftResult result;
  result.missing.assign(size_t(v.units), 0);
  parallel(threads, v.units, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int thread) {
    Buffer<Record> records(kBlockUnits);
    Buffer<unsigned char> numbers(size_t(kBlockUnits * cells) * cell_width + kSlack);
    Buffer<unsigned char> values(size_t(kBlockUnits * cells) * width + kSlack);
    Buffer<float> map{size_t(cells)};
    Buffer<float> lanes(16 * kBlockUnits);
    Buffer<uint64_t> bits(2 * size_t(v.height) * words);
    SiftScratch s{records.get(), numbers.get(),         wide,    values.get(), map.get(), lanes.get(),
                  bits.get(),    result.missing.data(), kNoFault};
    for (std::ptrdiff_t image = 0; image < v.images && s.fault == kNoFault; ++image)
      for (std::ptrdiff_t first = begin; first < end && s.fault == kNoFault; first += kBlockUnits) {
        const std::ptrdiff_t n = isa.sift_block(a, image, first, std::min(first + kBlockUnits, end), s);
        const unsigned char *from_cells = numbers.get(), *from_values = values.get();
        for (const Record* r = s.records; r < s.records + n; ++r) {
          Kept& k = kept[r->unit];
          const uint32_t pair[2] = {r->image, r->cells};
          std::memcpy(k.records.more(8), pair, 8);
          k.cells.append(from_cells, r->cells * cell_width);
          k.values.append(from_values, r->cells * width);
          from_cells += r->cells * cell_width;
          from_values += r->cells * width;
        }
      }
    faults[size_t(thread)] = s.fault;
  });
  result.fault = *std::min_element(faults.begin(), faults.end());
  result.sparse = canonical(kept, size_t(v.units), wide, width, threads);
  return result;
}

FilterResult filter(const Isa& isa, const View& v, const uint32_t* bounds, bool omit, int threads) {
  const std::ptrdiff_t cells = v.height * v.width;
  const size_t width = width_of(v.kind), units = size_t(v.units);
  Lent lent(units);
  std::vector<Kept>& kept = lent.kept;
  std::vector<uint64_t> faults(size_t(std::max(threads, 1)), kNoFault);
  FilterResult result;
  result.missing.assign(units, 0);
  parallel(threads, v.units, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int thread) {
    Buffer<unsigned char> values(size_t(kBlockUnits * cells) * width + kSlack);
    int64_t counts[kBlockUnits];
    FilterScratch s{values.get(), counts, result.missing.data(), kNoFault};
    for (std::ptrdiff_t image = 0; image < v.images; ++image)
      for (std::ptrdiff_t first = begin; first < end; first += kBlockUnits) {
        const std::ptrdiff_t last = std::min(first + kBlockUnits, end);
        isa.filter_block(v, bounds, omit, image, first, last, s);
        for (std::ptrdiff_t u = 0; u < last - first; ++u)
          if (counts[u])
            kept[size_t(first + u)].values.append(values.get() + size_t(u * cells) * width, size_t(counts[u]) * width);
      }
    faults[size_t(thread)] = s.fault;
  });
  result.fault = *std::min_element(faults.begin(), faults.end());
  result.start = Buffer<int64_t>(units + 1);
  int64_t* start = result.start.get();
  start[0] = 0;
  for (size_t u = 0; u < units; ++u) start[u + 1] = start[u] + int64_t(kept[u].values.size() / width);
  result.values = Buffer<unsigned char>(size_t(start[units]) * width);
  for (size_t u = 0; u < units; ++u) copy(kept[u].values, result.values.get() + size_t(start[u]) * width);
  return result;
}

}  // namespace fd
