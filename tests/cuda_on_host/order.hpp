// What orders memory on a GPU, told to ThreadSanitizer: a race detector for kernels that run one block at a time.
//
// Every CUDA thread is a fiber of its own to it. __syncthreads and __syncwarp order what their threads do before and
// after, and so does the end of a launch. Nothing else does: not shuffles and ballots, not atomics (which are atomic),
// and the blocks of a launch are unordered, whatever the order in which the shim runs them. What the shim itself reads
// and writes is left out (Quiet). Without -fsanitize=thread all of this is nothing.
#pragma once

#if defined(__SANITIZE_THREAD__)

extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned);
void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*);
void __tsan_release(void*);
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}

namespace shim {

struct Quiet {
  Quiet() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd("", 0);
    AnnotateIgnoreReadsEnd("", 0);
  }
};

constexpr bool kWatched = true;
constexpr unsigned kUnordered = 1;  // a switch of fibers orders nothing
inline void* this_fiber() { return __tsan_get_current_fiber(); }
inline void* new_fiber() { return __tsan_create_fiber(0); }
inline void enter_fiber(void* fiber) { __tsan_switch_to_fiber(fiber, kUnordered); }
inline void before_barrier(char* place) { __tsan_release(place); }
inline void after_barrier(char* place) { __tsan_acquire(place); }

}  // namespace shim

#else

namespace shim {

struct Quiet {
  Quiet() {}  // so that no compiler calls it unused
};

constexpr bool kWatched = false;
inline void* this_fiber() { return nullptr; }
inline void* new_fiber() { return nullptr; }
inline void enter_fiber(void*) {}
inline void before_barrier(char*) {}
inline void after_barrier(char*) {}

}  // namespace shim

#endif
