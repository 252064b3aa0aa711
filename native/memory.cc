// Memory of CPU tensors. Training makes and frees the same large blocks at every step, of sizes that differ a little from step
// to step. Taken from malloc they are either mapped anew each time, which costs page faults, or kept in the heap, where the
// small objects that JavaScript holds until its next collection lie between them: freed blocks don't join up again, and a
// process grows to several times what its tensors need. Here large blocks lie in segments of their own, apart from everything
// small: the smallest free block that fits is taken and split, freed neighbours join, and pages once touched are used again.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sys/mman.h>

#include <map>
#include <mutex>
#include <set>
#include <vector>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "tensor.h"

namespace amalgam {
namespace {

constexpr size_t kLeast = size_t{64} << 10;  // smaller tensors stay with malloc; blocks are multiples of it
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSegment = size_t{1} << 30;
constexpr size_t kSlack = size_t{64} << 20;

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

// Address space mapped at once; the system gives memory to its pages when they are touched.
struct Segment {
  char* start;
  size_t bytes;
  std::vector<bool> touched;  // for each huge page: may be resident

  size_t page(const char* at) const { return static_cast<size_t>(at - start) / kHugePage; }
};

struct Block {
  size_t bytes;
  bool free;
  Segment* segment;
};

class SegmentAllocator final : public c10::Allocator {
 public:
  explicit SegmentAllocator(c10::Allocator* small) : small_(small) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes < kLeast) return small_->allocate(bytes);
    void* block = take(round_up(bytes, kLeast));
    return {block, block, &SegmentAllocator::release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &SegmentAllocator::release; }
  void copy_data(void* target, const void* source, size_t count) const override {
    default_copy_data(target, source, count);
  }

  Napi::Value figures(Napi::Env env) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto result = Napi::Object::New(env);
    result["used"] = Napi::Number::New(env, static_cast<double>(used_));
    result["kept"] = Napi::Number::New(env, static_cast<double>(resident_ > used_ ? resident_ - used_ : 0));
    result["peak"] = Napi::Number::New(env, static_cast<double>(peak_));
    return result;
  }

  // Gives all that is free back to the system, and forgets the peak.
  void trim() {
    std::lock_guard<std::mutex> lock(mutex_);
    give_back_free(0);
    unmap_empty_segments();
    peak_ = used_;
  }

  static SegmentAllocator* instance;

 private:
  using Blocks = std::map<char*, Block>;  // by address: neighbours in the map are neighbours in memory, or in another segment

  c10::Allocator* small_;
  std::mutex mutex_;
  Blocks blocks_;
  std::set<std::pair<size_t, char*>> free_;  // by size, then address
  std::map<char*, Segment> segments_;
  size_t used_ = 0;
  size_t resident_ = 0;
  size_t peak_ = 0;

  static void release(void* start) {
    if (start != nullptr && !instance->give_back(static_cast<char*>(start))) instance->small_->raw_deleter()(start);
  }

  static bool joins(const Block& one, const Block& next) { return one.segment == next.segment && one.free && next.free; }

  void* take(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto fitting = free_.lower_bound({bytes, nullptr});
    if (fitting == free_.end()) {
      add_segment(bytes);
      fitting = free_.lower_bound({bytes, nullptr});
    }
    char* start = fitting->second;
    free_.erase(fitting);
    Block& block = blocks_.at(start);
    if (block.bytes > bytes) {
      blocks_[start + bytes] = {block.bytes - bytes, true, block.segment};
      free_.insert({block.bytes - bytes, start + bytes});
      block.bytes = bytes;
    }
    block.free = false;
    used_ += bytes;
    peak_ = std::max(peak_, used_);
    touch(*block.segment, start, bytes);
    // What is kept never lets the whole grow far beyond what was needed at once.
    const size_t limit = peak_ + peak_ / 8 + kSlack;
    if (resident_ > limit) give_back_free(limit);
    return start;
  }

  bool give_back(char* start) {
    // Blocks start at a page; few of malloc's do, and those are not in the table.
    if (reinterpret_cast<uintptr_t>(start) % 4096 != 0) return false;
    std::lock_guard<std::mutex> lock(mutex_);
    auto block = blocks_.find(start);
    if (block == blocks_.end() || block->second.free) return false;
    used_ -= block->second.bytes;
    block->second.free = true;
    auto next = std::next(block);
    if (next != blocks_.end() && joins(block->second, next->second)) {
      free_.erase({next->second.bytes, next->first});
      block->second.bytes += next->second.bytes;
      blocks_.erase(next);
    }
    if (block != blocks_.begin() && joins(std::prev(block)->second, block->second)) {
      auto before = std::prev(block);
      free_.erase({before->second.bytes, before->first});
      before->second.bytes += block->second.bytes;
      blocks_.erase(block);
      block = before;
    }
    free_.insert({block->second.bytes, block->first});
    return true;
  }

  void add_segment(size_t bytes) {
    const size_t exact = round_up(bytes, kHugePage);
    size_t length = std::max(exact, kSegment);
    char* start = map(length);
    if (start == nullptr) start = map(length = exact);
    if (start == nullptr) {
      give_back_free(0);
      unmap_empty_segments();
      start = map(length);
    }
    TORCH_CHECK(start != nullptr, "not enough memory: ", bytes, " bytes could not be had, tensors hold ", used_);
    Segment& segment = segments_[start];
    segment = {start, length, std::vector<bool>(length / kHugePage, false)};
    blocks_[start] = {length, true, &segment};
    free_.insert({length, start});
  }

  void touch(Segment& segment, char* start, size_t bytes) {
    for (size_t page = segment.page(start); page <= segment.page(start + bytes - 1); ++page)
      if (!segment.touched[page]) {
        segment.touched[page] = true;
        resident_ += kHugePage;
      }
  }

  // Gives pages of free blocks back to the system, of the largest blocks first, until no more than `limit` is resident.
  void give_back_free(size_t limit) {
    for (auto entry = free_.rbegin(); entry != free_.rend() && resident_ > limit; ++entry) {
      const auto [bytes, start] = *entry;
      Segment& segment = *blocks_.at(start).segment;
      const size_t first = segment.page(start + kHugePage - 1);
      const size_t end = segment.page(start + bytes);
      for (size_t page = first; page < end; ++page)
        if (segment.touched[page]) {
          madvise(segment.start + page * kHugePage, kHugePage, MADV_DONTNEED);
          segment.touched[page] = false;
          resident_ -= kHugePage;
        }
    }
  }

  void unmap_empty_segments() {
    for (auto segment = segments_.begin(); segment != segments_.end();) {
      auto block = blocks_.find(segment->first);
      const size_t bytes = segment->second.bytes;
      if (block->second.free && block->second.bytes == bytes) {
        free_.erase({bytes, segment->first});
        blocks_.erase(block);
        munmap(segment->first, bytes);
        segment = segments_.erase(segment);
      } else {
        ++segment;
      }
    }
  }

  // Segments start at a huge page, and ask for them: fewer faults and fewer misses of the address cache.
  static char* map(size_t bytes) {
    void* mapped = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    auto* raw = static_cast<char*>(mapped);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(raw) % kHugePage) % kHugePage;
    if (before > 0) munmap(raw, before);
    munmap(raw + before + bytes, kHugePage - before);
#ifdef MADV_HUGEPAGE
    madvise(raw + before, bytes, MADV_HUGEPAGE);
#endif
    return raw + before;
  }
};

SegmentAllocator* SegmentAllocator::instance = nullptr;

}  // namespace

void init_memory(Napi::Env env, Napi::Object exports) {
#ifdef __GLIBC__
  // The scratch buffers of the kernels' libraries come and go with every call: kept in the heap they cost no faults.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
  // One for all threads that load the addon. Never destroyed: tensors may outlive every static object.
  static std::once_flag once;
  std::call_once(once, [] {
    SegmentAllocator::instance = new SegmentAllocator(c10::GetCPUAllocator());
    c10::SetCPUAllocator(SegmentAllocator::instance, 1);
  });
  exports["trimMemory"] = Napi::Function::New(env, [](const Napi::CallbackInfo&) {
    SegmentAllocator::instance->trim();
#ifdef __GLIBC__
    malloc_trim(0);
#endif
  });
  // releasePages(tensor): of a view of a mapped file, the pages that lie within it wholly leave memory until they are read again.
  exports["releasePages"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) -> Napi::Value {
    return guarded(i.Env(), "releasePages", [&]() -> Napi::Value {
      const auto& view = Tensor::unwrap(i[0]);
      constexpr uintptr_t page = 4096;
      const auto data = reinterpret_cast<uintptr_t>(view.const_data_ptr());
      const uintptr_t begin = (data + page - 1) / page * page, end = (data + view.nbytes()) / page * page;
      if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
      return i.Env().Undefined();
    });
  });
  // freeDeviceMemory(device): bytes that are free there.
  exports["freeDeviceMemory"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) -> Napi::Value {
    return guarded(i.Env(), "freeDeviceMemory", [&]() -> Napi::Value {
      const c10::Device device(i[0].ToString().Utf8Value());
      const auto index = device.has_index() ? device.index() : c10::impl::VirtualGuardImpl(device.type()).getDevice().index();
      const auto [free, all] = c10::getDeviceAllocator(device.type())->getMemoryInfo(index);
      return Napi::Number::New(i.Env(), static_cast<double>(free));
    });
  });
  exports["tensorMemory"] = Napi::Function::New(
      env, [](const Napi::CallbackInfo& i) { return SegmentAllocator::instance->figures(i.Env()); });
}

}  // namespace amalgam
