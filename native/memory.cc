// Memory of CPU tensors. Training makes and frees the same large blocks at every step. Taken from malloc they are either
// mapped anew each time, which costs page faults, or kept in the heap, where the small objects that JavaScript holds
// until its next collection lie between them: freed blocks don't join up again, and a process grows to several times
// what its tensors need. Here large blocks are mapped once, kept apart from everything small, and used again.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <list>
#include <map>
#include <mutex>
#include <unordered_map>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "tensor.h"

namespace amalgam {
namespace {

constexpr size_t kLeast = size_t{64} << 10;       // smaller tensors stay with malloc
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSlack = size_t{64} << 20;

struct FreeBlock {
  void* start;
  size_t bytes;
};

class BlockAllocator final : public c10::Allocator {
 public:
  explicit BlockAllocator(c10::Allocator* small) : small_(small) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes < kLeast) return small_->allocate(bytes);
    void* block = take(size_class(bytes));
    return {block, block, &BlockAllocator::release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &BlockAllocator::release; }
  void copy_data(void* target, const void* source, size_t count) const override {
    default_copy_data(target, source, count);
  }

  Napi::Value figures(Napi::Env env) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto result = Napi::Object::New(env);
    result["used"] = Napi::Number::New(env, static_cast<double>(used_));
    result["kept"] = Napi::Number::New(env, static_cast<double>(kept_));
    result["peak"] = Napi::Number::New(env, static_cast<double>(peak_));
    return result;
  }

  // Gives all that is kept back to the system, and forgets the peak.
  void trim() {
    std::lock_guard<std::mutex> lock(mutex_);
    while (!free_.empty()) unmap_oldest();
    peak_ = used_;
  }

  static BlockAllocator* instance;

 private:
  c10::Allocator* small_;
  std::mutex mutex_;
  std::unordered_map<void*, size_t> used_blocks_;
  std::list<FreeBlock> free_;  // the oldest first
  std::multimap<size_t, std::list<FreeBlock>::iterator> free_by_size_;
  size_t used_ = 0;
  size_t kept_ = 0;
  size_t peak_ = 0;

  // At most an eighth more than asked for, so that lengths that differ a little share blocks.
  static size_t size_class(size_t bytes) {
    size_t step = kLeast;
    while (step * 16 <= bytes) step *= 2;
    return (bytes + step - 1) / step * step;
  }

  static void release(void* start) {
    if (start != nullptr && !instance->give_back(start)) instance->small_->raw_deleter()(start);
  }

  void* take(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto fitting = free_by_size_.lower_bound(bytes);
    void* start = nullptr;
    if (fitting != free_by_size_.end() && fitting->first <= bytes + bytes / 4) {
      bytes = fitting->first;
      auto latest = std::prev(free_by_size_.upper_bound(bytes));  // the one most likely in the processor's cache
      start = latest->second->start;
      free_.erase(latest->second);
      free_by_size_.erase(latest);
      kept_ -= bytes;
    } else {
      // What is kept never lets the whole grow far beyond what was needed at once.
      const size_t peak = std::max(peak_, used_ + bytes);
      while (!free_.empty() && used_ + kept_ + bytes > peak + peak / 8 + kSlack) unmap_oldest();
      start = map(bytes);
      while (start == nullptr && !free_.empty()) {
        unmap_oldest();
        start = map(bytes);
      }
      TORCH_CHECK(start != nullptr, "not enough memory: ", bytes, " bytes could not be had, tensors hold ", used_);
    }
    used_ += bytes;
    peak_ = std::max(peak_, used_);
    used_blocks_[start] = bytes;
    return start;
  }

  bool give_back(void* start) {
    // Blocks start at a page; few of malloc's do, and those are not in the table.
    if (reinterpret_cast<uintptr_t>(start) % 4096 != 0) return false;
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = used_blocks_.find(start);
    if (found == used_blocks_.end()) return false;
    const size_t bytes = found->second;
    used_blocks_.erase(found);
    used_ -= bytes;
    kept_ += bytes;
    free_.push_back({start, bytes});
    free_by_size_.emplace(bytes, std::prev(free_.end()));
    return true;
  }

  void unmap_oldest() {
    const FreeBlock block = free_.front();
    auto same = free_by_size_.equal_range(block.bytes);
    for (auto entry = same.first; entry != same.second; ++entry)
      if (entry->second == free_.begin()) {
        free_by_size_.erase(entry);
        break;
      }
    free_.pop_front();
    kept_ -= block.bytes;
    munmap(block.start, block.bytes);
  }

  static void* map_pages(size_t bytes) {
    void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return start == MAP_FAILED ? nullptr : start;
  }

  // Blocks of several huge pages start at one, and ask for them: fewer faults and fewer misses of the address cache.
  static void* map(size_t bytes) {
    if (bytes < 2 * kHugePage) return map_pages(bytes);
    auto* raw = static_cast<char*>(map_pages(bytes + kHugePage));
    if (raw == nullptr) return nullptr;
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(raw) % kHugePage) % kHugePage;
    if (before > 0) munmap(raw, before);
    if (before < kHugePage) munmap(raw + before + bytes, kHugePage - before);
#ifdef MADV_HUGEPAGE
    madvise(raw + before, bytes, MADV_HUGEPAGE);
#endif
    return raw + before;
  }
};

BlockAllocator* BlockAllocator::instance = nullptr;

}  // namespace

void init_memory(Napi::Env env, Napi::Object exports) {
#ifdef __GLIBC__
  // The scratch buffers of the kernels' libraries come and go with every call: kept in the heap they cost no faults.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
  // Never destroyed: tensors may outlive every static object.
  BlockAllocator::instance = new BlockAllocator(c10::GetCPUAllocator());
  c10::SetCPUAllocator(BlockAllocator::instance, 1);
  exports["trimMemory"] = Napi::Function::New(env, [](const Napi::CallbackInfo&) {
    BlockAllocator::instance->trim();
#ifdef __GLIBC__
    malloc_trim(0);
#endif
  });
  exports["tensorMemory"] = Napi::Function::New(
      env, [](const Napi::CallbackInfo& i) { return BlockAllocator::instance->figures(i.Env()); });
}

}  // namespace amalgam
