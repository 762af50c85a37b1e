// What travels between the drivers (threads, STL) and the kernels (one object per instruction set).
// Pointers and sizes only: nothing here knows of Python. Strides count elements.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fd {

enum Kind : int { kFloat32 = 0, kFloat16 = 1, kBfloat16 = 2 };

// Activations in place: [images, units, height, width], any strides.
struct View {
  const void* data;
  Kind kind;
  std::ptrdiff_t images, units, height, width;
  std::ptrdiff_t image_stride, unit_stride, row_stride, column_stride;
};

// One record of a block: one map with at least one retained cell.
struct Record {
  uint32_t image;
  uint32_t unit;
  uint32_t cells;
};

// The first unusable cell of a block: 2**64 - 1 if there is none, else its row-major number in the batch.
constexpr uint64_t kNoFault = ~uint64_t(0);

struct SiftArguments {
  View view;
  const uint32_t* bounds;  // keys, [units]; 0 = everything is above
  int reach;
  bool ring, omit;
  float* means;   // [images, units]
  float* maxima;  // [images, units]
};

// Scratch of one thread, large enough for kBlockUnits maps; `maps` and `bits` hold one map each.
constexpr std::ptrdiff_t kBlockUnits = 32;
struct SiftScratch {
  Record* records;  // [kBlockUnits]
  void* cells;      // [kBlockUnits * height * width], uint16 (uint32 if wide_cells), and 64 bytes more
  bool wide_cells;
  void* values;      // likewise, of the view's type
  float* map;        // [height * width]
  float* lanes;      // [16 * kBlockUnits]
  uint64_t* bits;    // [2 * height * row words]
  int64_t* missing;  // [units]
  uint64_t fault;
};

struct FilterScratch {
  void* values;      // [kBlockUnits, positions], of the view's type
  int64_t* counts;   // [kBlockUnits]
  int64_t* missing;  // [units]
  uint64_t fault;
};

// One axis of an upsampling table (types.AxisTable).
struct Axis {
  const int32_t* start;
  const float* weights;    // [pixels, taps]
  const float* fractions;  // lerp only: weights[:, 1], side by side, [pixels]
  const int32_t* first;    // lerp only: first[c] = first pixel whose start is >= c, [cells + 1]
  std::ptrdiff_t pixels, cells;
  int taps;
  bool lerp;
};

struct CountArguments {
  // sparse activations
  Kind kind;
  std::ptrdiff_t units, height, width;
  const uint32_t* images;
  const int64_t* unit_start;
  const int64_t* cell_start;
  const void* cells;
  bool wide_cells;  // uint32 instead of uint16
  const void* values;
  int64_t* cursor;
  int64_t first_image;
  const float* thresholds;
  // upsampling; with a ring the axes count cells of the (height + 2) x (width + 2) map
  Axis rows, columns;
  bool ring;
  // planes
  std::ptrdiff_t plane_images, words, concepts, categories;
  const int64_t* plane_start;
  const int32_t* concept;
  const int64_t* word_row;
  const uint64_t* plane_words;
  const int32_t* plane_from;  // [planes], the first word that is not zero, and one past the last
  const int32_t* plane_to;
  const int64_t* category;
  const bool* present;  // [plane_images, categories]; null: where a label lies under the mask
  // sums
  int64_t* intersection;
  int64_t* unit_area;
  int64_t* mask_area;
};

// Scratch of one thread.
struct CountScratch {
  float* map;                 // [cells of the (ringed) map, and 16 more]
  float* row;                 // [columns + 2, at least 72]
  unsigned char* above;       // [cells of the (ringed) map], non-lerp tables only
  unsigned char* rows_above;  // [rows + 1]
  uint64_t* mask;             // [words + 1]
  const int32_t* place;       // [cells], where a cell lies in `map`
  const int32_t* row_of;      // [cells], and in which of its rows
  bool* under;                // [categories]
};

// Masks as ranges of words, image by image (kernels/mask_ranges.py), and the planes of the same images.
struct PermutedArguments {
  std::ptrdiff_t images, units, words, concepts, categories;
  const int64_t* image_start;  // [images + 1]
  const int32_t* unit;         // [records], rising within an image
  const int64_t* area;         // [records], pixels
  const int32_t* first_word;   // [records]
  const int64_t* word_start;   // [records + 1]
  const uint64_t* mask_words;
  const int64_t* plane_start;
  const int32_t* concept;
  const int64_t* word_row;
  const uint64_t* plane_words;
  const int32_t* plane_from;  // [planes], the first word that is not zero, and one past the last
  const int32_t* plane_to;
  const int64_t* category;
  const bool* present;  // [images, categories]; null: where a label lies under the mask
};

// Scratch of one thread.
struct PermutedScratch {
  int64_t* sums;         // [concepts, units]
  unsigned char* under;  // [most records of an image, categories]
};

// One record's map to be upsampled, with its ring; which of its cells are above `low` (empty: first_row > last_row).
struct PixelMap {
  const float* cells;  // [rows.cells, columns.cells], and 16 more
  Axis rows, columns;
  std::ptrdiff_t first_row, last_row, first_column, last_column;
};
struct PixelScratch {
  float* row;   // [columns.cells]
  float* kept;  // room for all pixels of the map, and 16 more
  size_t count;
};

// Net2Vec: active cells image by image, and the upsampling of maps padded to at least 2 x 2 cells.
constexpr std::ptrdiff_t kColumns = 16;  // mask columns are taken together, whatever the instruction set
struct MaskArguments {
  const int64_t* image_start;  // [images + 1]
  const int32_t* unit;         // [entries]
  const int32_t* cell;
  std::ptrdiff_t spread;                  // 2 for maps one cell wide, that are padded; else 1
  std::ptrdiff_t height, width;           // of the padded maps
  std::ptrdiff_t lines, columns, padded;  // height and width of the masks; columns up to a multiple of kColumns
  const float* row_fraction;              // [lines]
  const float* column_fraction;           // [padded + kColumns]
  const int32_t* first_row;               // first_row[r] = first line whose start is >= r, [height + 1]
  const int32_t* first_column;            // [width + 1]
  const float* hats;                      // [width, padded], weight of a cell in a column
  const int32_t* first_block;             // [width], of kColumns columns, in which a cell's weights lie
  const int32_t* last_block;
  const uint64_t* cell_blocks;  // [width], bit b / group is set for each of these blocks b
  std::ptrdiff_t group;         // so that 64 bits are enough
  bool bias, cross_entropy;
};

// Scratch of one thread; padded columns hold finite numbers.
struct MaskScratch {
  float* z;               // [height * width]
  float* d;               // [height * width]
  float* rows;            // [height * padded + kColumns]
  float* sums;            // [height * padded + kColumns]
  unsigned char* used;    // [height * width]
  uint64_t* bands;        // [height], the blocks to be computed between cell rows r and r + 1
  const uint64_t* label;  // [words + 2]
};

// The kernels of one instruction set.
struct Isa {
  const char* name;
  // one image, units [first_unit, last_unit): returns the number of records
  std::ptrdiff_t (*sift_block)(const SiftArguments&, std::ptrdiff_t image, std::ptrdiff_t first_unit,
                               std::ptrdiff_t last_unit, SiftScratch&);
  void (*filter_block)(const View&, const uint32_t* bounds, bool omit, std::ptrdiff_t image, std::ptrdiff_t first_unit,
                       std::ptrdiff_t last_unit, FilterScratch&);
  void (*count_unit)(const CountArguments&, std::ptrdiff_t unit, CountScratch&);
  // one permutation [images] of the planes' images; adds to unit_area [units, categories] and the scratch's sums
  void (*count_permuted)(const PermutedArguments&, const int64_t* permutation, int64_t* unit_area, PermutedScratch&);
  // pixels above `high`; those in (low, high] are appended to the scratch's `kept`
  int64_t (*scan_pixels)(const PixelMap&, float low, float high, PixelScratch&);
  // adds one image's part of a task's gradient
  void (*descend_image)(const MaskArguments&, const float* weights, const bool* kept, float bias, std::ptrdiff_t image,
                        float inside, float outside, float* gradient, float* bias_gradient, MaskScratch&);
  void (*predict_image)(const MaskArguments&, const float* weights, float bias, std::ptrdiff_t image, int64_t* area,
                        int64_t* shared, MaskScratch&);
};

extern const Isa isa_base;
#ifdef FD_HAVE_X86_LEVELS
extern const Isa isa_v3;
extern const Isa isa_v4;
#endif

}  // namespace fd
