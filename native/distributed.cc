// Process groups: c10d's TCPStore and Gloo, named so that the functional collectives find them.
#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <map>

#include "tensor.h"

namespace amalgam {
namespace {

// The registry holds groups weakly; this is what keeps them alive, to the end of the process.
std::map<std::string, c10::intrusive_ptr<c10d::ProcessGroup>>& groups =
    *new std::map<std::string, c10::intrusive_ptr<c10d::ProcessGroup>>();

// joinGroup({name, host, port, rank, size, hostsStore, timeoutMs})
Napi::Value join_group(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  auto options = info[0].As<Napi::Object>();
  const std::string name = options.Get("name").ToString();
  const std::string host = options.Get("host").ToString();
  const int rank = options.Get("rank").ToNumber().Int32Value();
  const int size = options.Get("size").ToNumber().Int32Value();
  const auto timeout = std::chrono::milliseconds(options.Get("timeoutMs").ToNumber().Int64Value());
  return guarded(env, "joinGroup", [&]() -> Napi::Value {
    c10d::TCPStoreOptions store_options;
    store_options.port = static_cast<uint16_t>(options.Get("port").ToNumber().Uint32Value());
    store_options.isServer = options.Get("hostsStore").ToBoolean();
    store_options.numWorkers = static_cast<size_t>(size);
    store_options.waitWorkers = false;
    store_options.timeout = timeout;
    auto store = c10::make_intrusive<c10d::TCPStore>(host, store_options);
    auto prefixed = c10::make_intrusive<c10d::PrefixStore>("amalgam/" + name, store);
    auto gloo_options = c10d::ProcessGroupGloo::Options::create_default(timeout);
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(prefixed, rank, size, gloo_options);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(prefixed, rank, size);
    group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
    group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    group->setGroupName(name);
    c10d::register_process_group(name, group);
    groups[name] = group;
    return env.Undefined();
  });
}

Napi::Value leave_group(const Napi::CallbackInfo& info) {
  const std::string name = info[0].ToString();
  return guarded(info.Env(), "leaveGroup", [&]() -> Napi::Value {
    auto found = groups.find(name);
    if (found != groups.end()) {
      c10d::unregister_process_group(name);
      groups.erase(found);
    }
    return info.Env().Undefined();
  });
}

}  // namespace

void init_distributed(Napi::Env env, Napi::Object exports) {
  exports["joinGroup"] = Napi::Function::New(env, join_group);
  exports["leaveGroup"] = Napi::Function::New(env, leave_group);
}

}  // namespace amalgam
