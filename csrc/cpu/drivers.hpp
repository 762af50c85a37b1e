// The kernels as the binding calls them: threads, growing buffers, canonical order. Every driver takes the
// instruction set where its inner loop depends on it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "arguments.hpp"
#include "memory.hpp"

namespace fd {

// An uninitialised array that owns its memory.
template <typename T>
struct Buffer {
  std::unique_ptr<T[], GiveBack> data;
  size_t size = 0;
  Buffer() = default;
  explicit Buffer(size_t n) : data(static_cast<T*>(Memory::take(n * sizeof(T)))), size(n) {}
  T* get() const { return data.get(); }
};

// types.SparseActivations without its shape; cells and values as bytes of their own width.
struct Sparse {
  Buffer<int64_t> unit_start;
  Buffer<uint32_t> images;
  Buffer<int64_t> cell_start;
  Buffer<unsigned char> cells, values;
};

struct SparseView {
  std::ptrdiff_t images_in_part;
  const int64_t* unit_start;
  const uint32_t* images;
  const int64_t* cell_start;
  const void* cells;
  const void* values;
};

// Values of one part, grouped by unit.
struct ValuesView {
  const int64_t* start;
  const void* values;
};

inline size_t width_of(Kind kind) { return kind == kFloat32 ? 4 : 2; }

struct SiftResult {
  Sparse sparse;
  std::vector<int64_t> missing;
  uint64_t fault;
};
SiftResult sift(const Isa&, SiftArguments, int threads);

// kernels/views.py: [images, places, k] entries of (unit, value); place p is cell p of the map.
struct Codes {
  const int64_t* indices;
  const float* values;
  std::ptrdiff_t images, units, height, width, k;
};
SiftResult sift_codes(const Codes&, const uint32_t* bounds, int reach, bool ring, bool omit, float* means,
                      float* maxima, int threads);

struct FilterResult {
  Buffer<int64_t> start;
  Buffer<unsigned char> values;
  std::vector<int64_t> missing;
  uint64_t fault;
};
FilterResult filter(const Isa&, const View&, const uint32_t* bounds, bool omit, int threads);

Sparse prune(const std::vector<SparseView>& parts, Kind, bool wide_cells, std::ptrdiff_t units, std::ptrdiff_t height,
             std::ptrdiff_t width, const uint32_t* bounds, int reach, bool ring, int threads);

struct Joined {
  Buffer<int64_t> start;
  Buffer<unsigned char> values;
};
Joined join(const std::vector<ValuesView>& parts, Kind, std::ptrdiff_t units, const uint32_t* bounds, int threads);

void select(const std::vector<ValuesView>& parts, Kind, std::ptrdiff_t units, const uint32_t* bounds,
            const int64_t* ranks, std::ptrdiff_t ranks_per_unit, uint32_t* chosen, int threads);

void raise_bounds(const std::vector<ValuesView>& parts, Kind, std::ptrdiff_t units, const uint32_t* bounds,
                  int64_t rank, uint32_t* risen, int threads);

void select_pixels(const Isa&, const std::vector<SparseView>& parts, Kind, bool wide_cells, std::ptrdiff_t units,
                   std::ptrdiff_t height, std::ptrdiff_t width, const Axis& rows, const Axis& columns, bool ring,
                   const uint32_t* bounds, const int64_t* ranks, std::ptrdiff_t ranks_per_unit, uint32_t* chosen,
                   int threads);

void raise_pixels(const Isa&, const std::vector<SparseView>& parts, Kind, bool wide_cells, std::ptrdiff_t units,
                  std::ptrdiff_t height, std::ptrdiff_t width, const Axis& rows, const Axis& columns, bool ring,
                  const uint32_t* bounds, int64_t rank, uint32_t* risen, int threads);

// bins[units, n_bins] += counts; missing[units] += NaNs; returns the first NaN's number or kNoFault.
uint64_t histogram(const View&, int shift, const uint32_t* prefix, int64_t* bins, std::ptrdiff_t n_bins,
                   int64_t* missing, int threads);

struct Packed {
  std::vector<int32_t> concept_of;
  std::vector<int64_t> pixels;
  Buffer<uint64_t> words;
  int64_t unknown = 0;
};
// labels [channels, pixels], uint16 or int32
Packed pack(const void* labels, bool wide, std::ptrdiff_t channels, std::ptrdiff_t pixels, const int32_t* columns,
            std::ptrdiff_t n_columns, bool once);

// Objects fill a part of the image: of each plane's words [from, to) are looked at, the others are zero.
struct Extents {
  std::vector<int32_t> from, to;  // [planes]
};
Extents plane_extents(const uint64_t* plane_words, std::ptrdiff_t words, const int64_t* word_row, int64_t planes,
                      int threads);

void count(const Isa&, CountArguments, int threads);

// Adds to intersection [count, units, concepts] and unit_area [count, units, categories];
// permutations [count, images].
void count_permuted(const Isa&, PermutedArguments, const int64_t* permutations, std::ptrdiff_t count,
                    int64_t* intersection, int64_t* unit_area, int threads);

// kernels/concept_masks.py
struct MapTables {
  std::ptrdiff_t height, width;  // of the padded maps
  const int32_t* row_start;      // [lines]
  const float* row_fraction;
  std::ptrdiff_t lines;
  const int32_t* column_start;  // [columns]
  const float* column_fraction;
  std::ptrdiff_t columns;
};
struct ShownImages {
  const int64_t* concept_start;  // [concepts + 1]
  const int64_t* image;          // [pairs]
  const int64_t* row;
  const uint64_t* words;  // [rows, words_each]
  std::ptrdiff_t words_each;
};
struct DescentState {
  std::ptrdiff_t tasks, units;
  const int64_t* concept_of;
  const bool* kept;     // [tasks, units]
  const float* inside;  // [tasks]
  const float* outside;
  float* weights;  // [tasks, units]
  float* velocity;
  float* bias;  // [tasks]
  float* bias_velocity;
};
struct DescentRule {
  float rate, momentum, l1, l2;
  std::ptrdiff_t batch;
  bool positive;
};
// One epoch of every task; `order` says which task is taken when (a thread takes the next one).
void descend_masks(const Isa&, MaskArguments, const MapTables&, const ShownImages&, const DescentState&,
                   const DescentRule&, const int64_t* order, int threads);
// area, shared [sum over tasks of their concept's images]: pixels of the mask, and those that are the concept's
void predict_masks(const Isa&, MaskArguments, const MapTables&, const ShownImages&, const int64_t* concept_of,
                   const int64_t* start, std::ptrdiff_t tasks, std::ptrdiff_t units, const float* weights,
                   const float* bias, int64_t* area, int64_t* shared, int threads);

}  // namespace fd
