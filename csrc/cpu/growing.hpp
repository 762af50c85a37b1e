// Bytes that grow at the end: never initialised, never shrunk.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fd {

constexpr size_t kSlack = 64;  // bytes that may be read and written beyond what is asked for

class Growing {
 public:
  Growing() = default;
  Growing(Growing&& other) noexcept : data_(other.data_), size_(other.size_), room_(other.room_) {
    other.data_ = nullptr, other.size_ = other.room_ = 0;
  }
  Growing& operator=(Growing&&) = delete;
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;
  ~Growing() { std::free(data_); }

  // room for n more bytes, which the caller writes
  unsigned char* more(size_t n) {
    if (size_ + n > room_) grow(n);
    size_ += n;
    return data_ + size_ - n;
  }
  // copy n bytes, by steps of kSlack: `from` is readable that far, and there is room to write as far
  void append(const unsigned char* from, size_t n) {
    unsigned char* to = more(n);
    for (size_t i = 0; i < n; i += kSlack) std::memcpy(to + i, from + i, kSlack);
  }
  void clear() { size_ = 0; }
  const unsigned char* data() const { return data_; }
  size_t size() const { return size_; }
  size_t room() const { return room_; }

 private:
  void grow(size_t n) {
    const size_t room = 2 * (size_ + n) + 256;
    void* bigger = std::realloc(data_, room + kSlack);
    if (!bigger) throw std::bad_alloc();
    data_ = static_cast<unsigned char*>(bigger);
    room_ = room;
  }
  unsigned char* data_ = nullptr;
  size_t size_ = 0, room_ = 0;
};

}  // namespace fd
