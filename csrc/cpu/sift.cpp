// sift and filter: blocks of units of one image, in image order, dealt to the threads as contiguous ranges;
// then the records are put into canonical order (unit, image, cell) by counting, with one copy of what was kept.
#include <algorithm>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {

// What one thread kept, in order of image, unit, cell.
struct Kept {
  std::vector<Record> records;
  std::vector<uint32_t> cells;
  std::vector<unsigned char> values;
  std::vector<int64_t> missing;
  uint64_t fault = kNoFault;
};

template <typename T>
void append(std::vector<T>& to, const T* from, size_t n) {
  to.insert(to.end(), from, from + n);
}

Sparse canonical(const std::vector<Kept>& kept, std::ptrdiff_t units, bool wide, size_t width) {
  std::vector<int64_t> records(size_t(units) + 1, 0), cells(size_t(units) + 1, 0);
  for (const Kept& k : kept)
    for (const Record& r : k.records) {
      ++records[r.unit + 1];
      cells[r.unit + 1] += r.cells;
    }
  for (size_t u = 0; u < size_t(units); ++u) {
    records[u + 1] += records[u];
    cells[u + 1] += cells[u];
  }
  const size_t n_records = size_t(records.back()), n_cells = size_t(cells.back()), cell_width = wide ? 4 : 2;
  Sparse s;
  s.unit_start = Buffer<int64_t>(size_t(units) + 1);
  std::copy(records.begin(), records.end(), s.unit_start.get());
  s.images = Buffer<uint32_t>(n_records);
  s.cell_start = Buffer<int64_t>(n_records + 1);
  s.cells = Buffer<unsigned char>(n_cells * cell_width);
  s.values = Buffer<unsigned char>(n_cells * width);
  s.cell_start.get()[n_records] = int64_t(n_cells);
  for (const Kept& k : kept) {
    size_t from = 0;
    for (const Record& r : k.records) {
      const size_t at = size_t(records[r.unit]++), to = size_t(cells[r.unit]);
      cells[r.unit] += r.cells;
      s.images.get()[at] = r.image;
      s.cell_start.get()[at] = int64_t(to);
      std::memcpy(s.values.get() + to * width, k.values.data() + from * width, r.cells * width);
      if (wide)
        std::memcpy(s.cells.get() + to * 4, k.cells.data() + from, size_t(r.cells) * 4);
      else {
        auto* narrow = reinterpret_cast<uint16_t*>(s.cells.get()) + to;
        for (uint32_t i = 0; i < r.cells; ++i) narrow[i] = uint16_t(k.cells[from + i]);
      }
      from += r.cells;
    }
  }
  return s;
}

}  // namespace

SiftResult sift(const Isa& isa, SiftArguments a, int threads) {
  const View& v = a.view;
  const std::ptrdiff_t blocks = (v.units + kBlockUnits - 1) / kBlockUnits, cells = v.height * v.width;
  const size_t width = width_of(v.kind), words = size_t((v.width + 63) / 64);
  std::vector<Kept> kept(size_t(std::max(threads, 1)));
  parallel(threads, v.images * blocks, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int thread) {
    Kept& mine = kept[size_t(thread)];
    mine.missing.assign(size_t(v.units), 0);
    Buffer<Record> records(kBlockUnits);
    Buffer<uint32_t> numbers(size_t(kBlockUnits * cells));
    Buffer<unsigned char> values(size_t(kBlockUnits * cells) * width);
    Buffer<float> map{size_t(cells)};
    Buffer<float> lanes(16 * kBlockUnits);
    Buffer<uint64_t> bits(2 * size_t(v.height) * words);
    SiftScratch s{records.get(), numbers.get(), values.get(),        map.get(),
                  lanes.get(),   bits.get(),    mine.missing.data(), kNoFault};
    for (std::ptrdiff_t item = begin; item < end; ++item) {
      const std::ptrdiff_t first = item % blocks * kBlockUnits;
      const std::ptrdiff_t last = std::min(first + kBlockUnits, v.units);
      const std::ptrdiff_t n = isa.sift_block(a, item / blocks, first, last, s);
      size_t total = 0;
      for (std::ptrdiff_t i = 0; i < n; ++i) total += s.records[i].cells;
      append(mine.records, s.records, size_t(n));
      append(mine.cells, s.cells, total);
      append(mine.values, values.get(), total * width);
      if (s.fault != kNoFault) break;
    }
    mine.fault = s.fault;
  });
  SiftResult result;
  result.missing.assign(size_t(v.units), 0);
  result.fault = kNoFault;
  for (const Kept& k : kept) {
    for (size_t u = 0; u < k.missing.size(); ++u) result.missing[u] += k.missing[u];
    result.fault = std::min(result.fault, k.fault);
  }
  result.sparse = canonical(kept, v.units, cells > 65536, width);
  return result;
}

FilterResult filter(const Isa& isa, const View& v, const uint32_t* bounds, bool omit, int threads) {
  const std::ptrdiff_t blocks = (v.units + kBlockUnits - 1) / kBlockUnits, cells = v.height * v.width;
  const size_t width = width_of(v.kind);
  std::vector<Kept> kept(size_t(std::max(threads, 1)));
  parallel(threads, v.images * blocks, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int thread) {
    Kept& mine = kept[size_t(thread)];
    mine.missing.assign(size_t(v.units), 0);
    Buffer<unsigned char> values(size_t(kBlockUnits * cells) * width);
    int64_t counts[kBlockUnits];
    FilterScratch s{values.get(), counts, mine.missing.data(), kNoFault};
    for (std::ptrdiff_t item = begin; item < end; ++item) {
      const std::ptrdiff_t first = item % blocks * kBlockUnits;
      const std::ptrdiff_t last = std::min(first + kBlockUnits, v.units);
      isa.filter_block(v, bounds, omit, item / blocks, first, last, s);
      for (std::ptrdiff_t u = 0; u < last - first; ++u) {
        if (!counts[u]) continue;
        mine.records.push_back(Record{0, uint32_t(first + u), uint32_t(counts[u])});
        append(mine.values, values.get() + size_t(u * cells) * width, size_t(counts[u]) * width);
      }
    }
    mine.fault = s.fault;
  });
  FilterResult result;
  result.missing.assign(size_t(v.units), 0);
  result.fault = kNoFault;
  std::vector<int64_t> start(size_t(v.units) + 1, 0);
  for (const Kept& k : kept) {
    for (size_t u = 0; u < k.missing.size(); ++u) result.missing[u] += k.missing[u];
    for (const Record& r : k.records) start[r.unit + 1] += r.cells;
    result.fault = std::min(result.fault, k.fault);
  }
  for (size_t u = 0; u < size_t(v.units); ++u) start[u + 1] += start[u];
  result.start = Buffer<int64_t>(start.size());
  std::copy(start.begin(), start.end(), result.start.get());
  result.values = Buffer<unsigned char>(size_t(start.back()) * width);
  for (const Kept& k : kept) {
    size_t from = 0;
    for (const Record& r : k.records) {
      std::memcpy(result.values.get() + size_t(start[r.unit]) * width, k.values.data() + from, r.cells * width);
      start[r.unit] += r.cells;
      from += r.cells * width;
    }
  }
  return result;
}

}  // namespace fd
