// Threads for the drivers: plain std::thread, started per call. No pool and no OpenMP, so that a forked child
// never inherits a runtime that hangs, and torch's own threads are not spun against between batches.
#pragma once
#include <cstddef>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace fd {

// Denormals count: flush-to-zero modes are cleared for the scope and restored after it.
class KeepDenormals {
 public:
#if defined(__x86_64__) || defined(_M_X64)
  KeepDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ & ~0x8040u); }
  ~KeepDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__) && defined(__GNUC__)
  KeepDenormals() {
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(saved_));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(saved_ & ~(uint64_t(1) << 24 | uint64_t(1) << 19)));
  }
  ~KeepDenormals() { __asm__ __volatile__("msr fpcr, %0" : : "r"(saved_)); }

 private:
  uint64_t saved_;
#else
  KeepDenormals() {}
#endif
};

// Call work(begin, end, thread) for contiguous shares of [0, items), in order of threads.
template <typename Work>
void parallel(int threads, std::ptrdiff_t items, Work work) {
  if (threads > items) threads = int(items);
  if (threads <= 1) {
    KeepDenormals guard;
    if (items > 0) work(std::ptrdiff_t(0), items, 0);
    return;
  }
  std::vector<std::exception_ptr> errors(static_cast<size_t>(threads));
  const auto share = [&](int t) {
    try {
      KeepDenormals guard;
      work(items * t / threads, items * (t + 1) / threads, t);
    } catch (...) {
      errors[size_t(t)] = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  int started = 1;
  try {
    for (; started < threads; ++started) others.emplace_back(share, started);
  } catch (const std::system_error&) {
    // the system gives no more threads: this one does their shares
  }
  share(0);
  for (int t = started; t < threads; ++t) share(t);
  for (auto& other : others) other.join();
  for (auto& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace fd
