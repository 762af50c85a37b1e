// Activations in place: a strided view [images, units, height, width], strides in elements.
#pragma once
#include "numbers.cuh"

template <typename Kind>
struct View {
  const typename Kind::Type* data;
  int64_t images, units, height, width;
  int64_t image_step, unit_step, row_step, column_step;

  __device__ const typename Kind::Type& at(int64_t image, int64_t unit, int64_t y, int64_t x) const {
    return data[image * image_step + unit * unit_step + y * row_step + x * column_step];
  }
};

// How a view travels: FD_VIEW_PARAMETERS in the kernel's list, FD_VIEW(Kind) to put it together again.
#define FD_VIEW_PARAMETERS                                                                            \
  const void *view_data, int64_t view_images, int64_t view_units, int64_t view_height, int64_t view_width, \
      int64_t view_image_step, int64_t view_unit_step, int64_t view_row_step, int64_t view_column_step
#define FD_VIEW(KIND)                                                                                  \
  View<KIND> {                                                                                         \
    static_cast<const KIND::Type*>(view_data), view_images, view_units, view_height, view_width,       \
        view_image_step, view_unit_step, view_row_step, view_column_step                               \
  }
