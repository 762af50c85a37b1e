// NumPy arrays <-> pointers and sizes. Nothing is copied: a buffer's memory becomes the array's.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "../cpu/drivers.hpp"

namespace fd {
namespace py = pybind11;

template <typename T>
using In = py::array_t<T, py::array::c_style>;  // always bound with .noconvert()

template <typename T>
py::array_t<T> to_array(Buffer<T>&& buffer) {
  const auto size = py::ssize_t(buffer.size);
  T* data = buffer.data.release();
  py::capsule owner(data, &Memory::give);
  return py::array_t<T>(size, data, owner);
}

// Bytes as an array of another type (the buffer comes from new[], aligned for any of ours).
inline py::array to_array(Buffer<unsigned char>&& buffer, const py::dtype& dtype) {
  const auto size = py::ssize_t(buffer.size) / dtype.itemsize();
  unsigned char* data = buffer.data.release();
  py::capsule owner(data, &Memory::give);
  return py::array(dtype, {size}, {}, data, owner);
}

template <typename T>
py::array_t<T> to_array(const std::vector<T>& v) {
  return py::array_t<T>(py::ssize_t(v.size()), v.data());
}

inline Kind kind_of(const std::string& name) {
  if (name == "float32") return kFloat32;
  if (name == "float16") return kFloat16;
  if (name == "bfloat16") return kBfloat16;
  throw py::value_error("expected kind float32, float16 or bfloat16; got " + name);
}

inline View view_of(const py::array& data, const std::string& kind) {
  View v;
  v.kind = kind_of(kind);
  if (data.ndim() != 4 || size_t(data.itemsize()) != width_of(v.kind))
    throw py::value_error("expected activations [images, units, height, width] of " + kind);
  v.data = data.data();
  v.images = data.shape(0), v.units = data.shape(1), v.height = data.shape(2), v.width = data.shape(3);
  const auto stride = [&](int axis) { return std::ptrdiff_t(data.strides(axis) / data.itemsize()); };
  v.image_stride = stride(0), v.unit_stride = stride(1), v.row_stride = stride(2), v.column_stride = stride(3);
  return v;
}

inline py::dtype value_dtype(Kind kind) {
  return kind == kFloat32 ? py::dtype("f4") : kind == kFloat16 ? py::dtype("f2") : py::dtype("u2");
}

// (unit_start, images, cell_start, cells, values)
inline py::tuple to_tuple(Sparse&& s, Kind kind, bool wide) {
  return py::make_tuple(to_array(std::move(s.unit_start)), to_array(std::move(s.images)),
                        to_array(std::move(s.cell_start)),
                        to_array(std::move(s.cells), wide ? py::dtype("u4") : py::dtype("u2")),
                        to_array(std::move(s.values), value_dtype(kind)));
}

// The parts of a list of (images, unit_start, images, cell_start, cells, values); arrays stay alive with the list.
inline std::vector<SparseView> parts_of(const py::list& parts) {
  std::vector<SparseView> views;
  for (const auto& item : parts) {
    const auto t = item.cast<py::tuple>();
    views.push_back(SparseView{t[0].cast<std::ptrdiff_t>(), t[1].cast<In<int64_t>>().data(),
                               t[2].cast<In<uint32_t>>().data(), t[3].cast<In<int64_t>>().data(),
                               t[4].cast<py::array>().data(), t[5].cast<py::array>().data()});
  }
  return views;
}

// The parts of a list of (start, values).
inline std::vector<ValuesView> values_of(const py::list& parts) {
  std::vector<ValuesView> views;
  for (const auto& item : parts) {
    const auto t = item.cast<py::tuple>();
    views.push_back(ValuesView{t[0].cast<In<int64_t>>().data(), t[1].cast<py::array>().data()});
  }
  return views;
}

// (start, weights, first, fractions, cells, lerp)
inline Axis axis_of(const py::tuple& t, In<float>& fractions) {
  const auto start = t[0].cast<In<int32_t>>();
  const auto weights = t[1].cast<In<float>>();
  const auto first = t[2].cast<In<int32_t>>();
  fractions = t[3].cast<In<float>>();
  return Axis{start.data(),          weights.data(),   fractions.data(),
              first.data(),          start.shape(0),   t[4].cast<std::ptrdiff_t>(),
              int(weights.shape(1)), t[5].cast<bool>()};
}

}  // namespace fd
