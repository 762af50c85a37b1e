// descend_masks, predict_masks: a task is a concept (and the units it may use) with its own images, so tasks are dealt
// to the threads; a thread takes the next one when it is done. Nothing is shared but what is read.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "drivers.hpp"
#include "parallel.hpp"

namespace fd {
namespace {

// first[i] = first number whose start is >= i, [cells + 1]
std::vector<int32_t> firsts(const int32_t* start, std::ptrdiff_t count, std::ptrdiff_t cells) {
  std::vector<int32_t> first(size_t(cells) + 1, int32_t(count));
  for (std::ptrdiff_t i = 0; i <= cells; ++i)
    first[size_t(i)] = int32_t(std::lower_bound(start, start + count, i) - start);
  return first;
}

// What the kernel looks up: made once a call.
class Laid {
 public:
  Laid(MaskArguments& a, const MapTables& t)
      : first_row_(firsts(t.row_start, t.lines, t.height)), first_column_(firsts(t.column_start, t.columns, t.width)) {
    a.height = t.height, a.width = t.width, a.lines = t.lines, a.columns = t.columns;
    a.padded = (t.columns + kColumns - 1) / kColumns * kColumns;
    fraction_.assign(size_t(a.padded + kColumns), 0.0f);
    std::copy_n(t.column_fraction, t.columns, fraction_.begin());
    hats_.assign(size_t(a.width * a.padded), 0.0f);
    for (std::ptrdiff_t x = 0; x < t.columns; ++x) {
      float* hat = hats_.data() + t.column_start[x] * a.padded + x;
      hat[0] = 1.0f - t.column_fraction[x];
      hat[a.padded] = t.column_fraction[x];
    }
    a.group = (a.padded / kColumns + 63) / 64;
    for (std::ptrdiff_t c = 0; c < a.width; ++c) {
      const int32_t from = first_column_[size_t(std::max<std::ptrdiff_t>(c - 1, 0))], to = first_column_[size_t(c) + 1];
      first_block_.push_back(int32_t(from / kColumns));
      last_block_.push_back(int32_t((to + kColumns - 1) / kColumns));
      uint64_t own = 0;
      for (std::ptrdiff_t b = first_block_.back(); b < last_block_.back(); ++b) own |= uint64_t(1) << (b / a.group);
      cell_blocks_.push_back(own);
    }
    a.row_fraction = t.row_fraction, a.column_fraction = fraction_.data(), a.hats = hats_.data();
    a.first_row = first_row_.data(), a.first_column = first_column_.data();
    a.first_block = first_block_.data(), a.last_block = last_block_.data(), a.cell_blocks = cell_blocks_.data();
  }

 private:
  std::vector<int32_t> first_row_, first_column_, first_block_, last_block_;
  std::vector<uint64_t> cell_blocks_;
  std::vector<float> fraction_, hats_;
};

class Scratch : public MaskScratch {
 public:
  Scratch(const MaskArguments& a, const ShownImages& shown) : words_(size_t(shown.words_each) + 2, 0) {
    const size_t cells = size_t(a.height * a.width), pixels = size_t(a.height * a.padded + 2 * kColumns);
    floats_.assign(2 * cells + 2 * pixels, 0.0f);
    bytes_.assign(cells, 0);
    bands_.assign(size_t(a.height), 0);
    z = floats_.data(), d = z + cells, rows = d + cells, sums = rows + pixels;
    used = bytes_.data(), bands = bands_.data();
  }

  // The pixels of one image, with room behind them.
  void show(const ShownImages& shown, std::ptrdiff_t pair) {
    if (shown.row[pair] < 0)
      std::memset(words_.data(), 255, size_t(shown.words_each) * 8);
    else
      std::memcpy(words_.data(), shown.words + shown.row[pair] * shown.words_each, size_t(shown.words_each) * 8);
    label = words_.data();
  }

 private:
  std::vector<uint64_t> words_, bands_;
  std::vector<float> floats_;
  std::vector<unsigned char> bytes_;
};

float sign(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }

void step(float& w, float& v, float g, const DescentRule& r) {
  const float slope = g + (r.l1 * sign(w) + r.l2 * w);
  v = r.momentum * v + slope;
  const float moved = r.rate * v;
  w -= moved;
}

void descend_task(const Isa& isa, const MaskArguments& a, const ShownImages& shown, const DescentState& d,
                  const DescentRule& r, std::ptrdiff_t task, std::vector<float>& gradient, Scratch& s) {
  const int64_t first = shown.concept_start[d.concept_of[task]], last = shown.concept_start[d.concept_of[task] + 1];
  const bool* kept = d.kept + task * d.units;
  const bool all = std::all_of(kept, kept + d.units, [](bool own) { return own; });
  float *weights = d.weights + task * d.units, *velocity = d.velocity + task * d.units;
  for (int64_t begin = first; begin < last; begin += r.batch) {
    const int64_t end = std::min<int64_t>(begin + r.batch, last);
    const float size = float(end - begin), inside = -(d.inside[task] / size), outside = d.outside[task] / size;
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    float bias_gradient = 0;
    for (int64_t pair = begin; pair < end; ++pair) {
      s.show(shown, pair);
      isa.descend_image(a, weights, all ? nullptr : kept, a.bias ? d.bias[task] : 0.0f, shown.image[pair], inside,
                        outside, gradient.data(), &bias_gradient, s);
    }
    for (std::ptrdiff_t k = 0; k < d.units; ++k) {
      if (!kept[k]) continue;
      step(weights[k], velocity[k], gradient[size_t(k)], r);
      if (r.positive && weights[k] < 0) weights[k] = 0;
    }
    if (a.bias) {
      d.bias_velocity[task] = r.momentum * d.bias_velocity[task] + bias_gradient;
      d.bias[task] -= r.rate * d.bias_velocity[task];
    }
  }
}

}  // namespace

void descend_masks(const Isa& isa, MaskArguments a, const MapTables& tables, const ShownImages& shown,
                   const DescentState& d, const DescentRule& r, const int64_t* order, int threads) {
  const Laid laid(a, tables);
  std::atomic<std::ptrdiff_t> next{0};
  threads = int(std::min<std::ptrdiff_t>(threads, d.tasks));
  parallel(threads, std::max(threads, 1), [&](std::ptrdiff_t, std::ptrdiff_t, int) {
    Scratch s(a, shown);
    std::vector<float> gradient(size_t(d.units));
    for (std::ptrdiff_t i; (i = next++) < d.tasks;) descend_task(isa, a, shown, d, r, order[i], gradient, s);
  });
}

void predict_masks(const Isa& isa, MaskArguments a, const MapTables& tables, const ShownImages& shown,
                   const int64_t* concept_of, const int64_t* start, std::ptrdiff_t tasks, std::ptrdiff_t units,
                   const float* weights, const float* bias, int64_t* area, int64_t* both, int threads) {
  const Laid laid(a, tables);
  std::atomic<std::ptrdiff_t> next{0};
  threads = int(std::min<std::ptrdiff_t>(threads, tasks));
  parallel(threads, std::max(threads, 1), [&](std::ptrdiff_t, std::ptrdiff_t, int) {
    Scratch s(a, shown);
    for (std::ptrdiff_t i; (i = next++) < tasks;) {
      const int64_t first = shown.concept_start[concept_of[i]];
      for (int64_t n = start[i]; n < start[i + 1]; ++n) {
        const int64_t pair = first + (n - start[i]);
        s.show(shown, pair);
        isa.predict_image(a, weights + i * units, bias ? bias[i] : 0.0f, shown.image[pair], area + n, both + n, s);
      }
    }
  });
}

}  // namespace fd
