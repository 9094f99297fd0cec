// allocation_injection [script|nano] [MOST [DEFECT]]: every small request with each of its
// allocations failing (at most MOST of a request, spread over it), alone and twenty in a row; one of
// 25,000 allocations among them, then one of 600,000, sampled. Says how often each status came; exits
// with 1 at the first finding.
// DEFECT, swallows or status, is put into the server to see it found.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "allocation/failing_new.h"
#include "allocation/injection.h"

namespace {

using namespace qwen3::server::testing;

Defect defect_named(const std::string& name) {
  if (name == "swallows") return Defect::swallows_request;
  return name == "status" ? Defect::wrong_status : Defect::none;
}

// False at a finding.
bool inject_all(InjectedServer& server, const InjectedRequest& request, int64_t most) {
  const int64_t n = std::max(server.count(request), server.count(request));
  const int64_t step = std::max<int64_t>(1, n / most);
  int64_t n_done = 0;
  for (const int64_t n_failing : {1, 20}) {
    for (int64_t nth = 1; nth <= n + n / 20; nth += step, ++n_done) {
      const auto finding = server.inject(request, nth, n_failing);
      if (!finding) continue;
      fmt::print("{}: allocation {} of {}, {} in a row: {}\n",
                 request.name,
                 nth,
                 n,
                 n_failing,
                 finding->what);
      return false;
    }
  }
  fmt::print("{}: {} allocations, {} failures\n", request.name, n, n_done);
  std::fflush(stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool nano = !args.empty() && args[0] == "nano";
  const int64_t most = args.size() > 1 ? std::stoll(args[1]) : 100'000;
  const auto begin = std::chrono::steady_clock::now();
  InjectedServer server(nano ? InjectedServer::Brain::nano : InjectedServer::Brain::script,
                        defect_named(args.size() > 2 ? args[2] : ""));
  for (const InjectedRequest& request : small_requests()) {
    if (!inject_all(server, request, most)) return 1;
  }
  if (!inject_all(server, many_calls(200), most)) return 1;
  if (!inject_all(server, many_calls(5000), std::min<int64_t>(most, 300))) return 1;
  if (const auto left = server.check_empty()) {
    fmt::print("{}\n", left->what);
    return 1;
  }
  for (const auto& [status, n] : server.outcomes()) {
    fmt::print("{}: {}\n", status == 0 ? "closed" : std::to_string(status), n);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  fmt::print("nothing found in {:.0f} s\n", took.count());
}
