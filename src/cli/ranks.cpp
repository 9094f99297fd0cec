#include "cli/ranks.h"

#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "base/checksum64.h"
#include "base/error.h"
#include "base/input_file.h"
#include "cli/console.h"
#include "cli/launcher.h"
#include "cli/numbers.h"
#include "cli/signals.h"
#include "engine/group_runner.h"
#include "formats/fingerprint.h"
#include "formats/open_source.h"
#include "hardware/affinity.h"
#include "hardware/cpu_info.h"
#include "kernels/cuda/cuda_backend.h"
#include "parallel/communicator.h"
#include "parallel/handshake.h"
#include "parallel/mpi_plugin.h"

namespace qwen3::cli {
namespace {

namespace fs = std::filesystem;

// MPI's own start waits for all ranks, and nobody watches yet.
constexpr unsigned kStartSeconds = 30;
// Whoever does not know why the group ended leaves the word to who does.
constexpr std::chrono::milliseconds kSilence{500};
constexpr size_t kProgramBytes = size_t{1} << 30;
constexpr size_t kShownDigits = 16;

struct RankState {
  // Not destroyed but by an orderly end: the ways out of an error must not wait for anybody.
  Communicator* group = nullptr;
  std::atomic<bool> loaded{false};   // all ranks have gone on from the handshake to a model
  std::atomic<bool> leaving{false};  // this rank ends the group without a reason
};
RankState g_state;

void end_process_of_rank(std::string_view reason) {
  if (g_state.leaving) return;
  if (reason.empty()) {
    std::this_thread::sleep_for(kSilence);
  } else {
    print_error(fmt::format("qwen3: {}", reason));
  }
  flush_notes();
  std::_Exit(kFailed);
}

void on_late_start(int) {
  const std::string_view text =
      "qwen3: the ranks did not all start, or end, in time; is one of them frozen?\n";
  write_to(STDERR_FILENO, text);
  std::_Exit(kFailed);
}

void interrupt_self(int) { kill(getpid(), SIGINT); }

// mpirun passes USR1 on to all ranks, srun TERM and INT too: rank 0 ends the group, when it is ready to.
void set_signals(bool is_first) {
  if (is_first) {
    signal(SIGUSR1, interrupt_self);
    return;
  }
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) signal(number, SIG_IGN);
}

// Beside the program, or where `cmake --install` puts it.
fs::path plugin_path() {
  constexpr const char* kName = "libqwen3_mpi.so";
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path installed = folder.parent_path() / QWEN3_LIBDIR / "qwen3" / kName;
  return fs::exists(installed) ? installed : folder / kName;
}

std::unique_ptr<ProcessGroup> begin_group(const Launch& launch) {
  std::unique_ptr<ProcessGroup> group;
  try {
    group = open_mpi_group(plugin_path());
  } catch (const Error& error) {
    throw UsageError(
        fmt::format("qwen3: {} started {} tasks, but {}", launch.by, launch.n_tasks, error.what()));
  }
  if (group->size() == 1 && launch.n_tasks > 1) {
    throw UsageError(fmt::format(
        "qwen3: {} started {} tasks, MPI sees 1: {}",
        launch.by,
        launch.n_tasks,
        launch.by == "srun" ? "add --mpi=pmix" : "start them with the mpirun of Open MPI"));
  }
  return group;
}

struct Cores {
  std::vector<int> own;  // of this rank
  int n_threads = 1;
  Spinning spinning = Spinning::yes;
  std::string note = {};
};

// mpirun binds two ranks to one core each, whatever else there is; with --bind-to none all have all.
Cores share_cores(ProcessGroup& group, int wanted_threads) {
  const std::vector<int> own = own_cores(), possible = possible_cores();
  const std::string mine = fmt::format("{}/{}", fmt::join(own, ","), possible.size());
  int index = 0, count = 0;
  bool all_alike = true;
  const std::vector<std::string> all = group.all_gather(mine);
  for (int r = 0; r < group.size(); ++r) {
    if (group.host_of(r) != group.host_of(group.rank())) continue;
    if (r == group.rank()) index = count;
    ++count;
    all_alike = all_alike && all[static_cast<size_t>(r)] == mine;
  }
  const bool one_core = own.size() == 1 && static_cast<int>(possible.size()) > count;
  Cores cores{.own = own};
  if (all_alike || one_core) {
    const std::vector<int>& from = one_core ? possible : own;
    const std::vector<int> part = core_share(from, memory_nodes(from), index, count);
    cores.own = part;
    if (one_core) {
      cores.note = fmt::format("the launcher bound each rank to one core; of {} each takes {}",
                               from.size(),
                               part.size());
    }
  }
  const int n_cores = std::max(1, static_cast<int>(cores.own.size()));
  cores.n_threads = wanted_threads > 0 ? wanted_threads : n_cores;
  if (cores.own.empty() || cores.n_threads > n_cores) {
    cores.spinning = Spinning::no;
  } else {
    bind_to(cores.own);
  }
  return cores;
}

std::string first_digits(const std::string& hash) { return hash.substr(0, kShownDigits); }

std::string program_fingerprint() {
  const std::string bytes = read_text_file("/proc/self/exe", kProgramBytes);
  return fmt::format("{:016x}", checksum64(std::as_bytes(std::span(bytes))));
}

std::vector<Fact> facts_of(const ModelOptions& options, WeightsFrom from) {
  const fs::path path = resolve_model(options.model);
  const bool random = from == WeightsFrom::random;
  return {
      {"the program", program_fingerprint(), "install the same build on every host"},
      {"config.json", first_digits(config_fingerprint(path)), "same path, another file?"},
      {"the checkpoint",
       random ? "random weights" : first_digits(weights_fingerprint(*open_source(path))),
       "same path, another file?"},
      {"--backend", options.backend, "give all ranks the same options"},
      {"--dtype", options.dtype, "give all ranks the same options"},
      {"--cpu-isa", options.cpu_isa, "give all ranks the same options"},
      {"--hf-overrides",
       options.hf_overrides.empty() ? "none" : options.hf_overrides,
       "give all ranks the same options"},
      {"--peer-seconds",
       fmt::format("{}", options.peer_seconds),
       "give all ranks the same options"},
      {"--ranks", fmt::format("{}", options.ranks), "give all ranks the same options"},
  };
}

// What keeps ranks from starting together, a line for each, the same on all of them; empty: nothing. What
// keeps rank 0 from it is thrown there, as it would be alone.
std::vector<std::string> problems_of(Communicator& group,
                                     const ModelOptions& options,
                                     WeightsFrom from) {
  std::vector<Fact> facts;
  std::exception_ptr mine;
  std::string problem;
  try {
    facts = facts_of(options, from);
  } catch (const std::exception& error) {
    mine = std::current_exception();
    problem = error.what();
  }
  const std::vector<std::string> all = group.all_gather(problem);
  if (group.rank() == 0 && mine) std::rethrow_exception(mine);
  std::vector<std::string> lines;
  for (int r = 0; r < group.size(); ++r) {
    const std::string& theirs = all[static_cast<size_t>(r)];
    if (!theirs.empty()) lines.push_back(fmt::format("{}: {}", group.name(r), theirs));
  }
  return lines.empty() ? differences(group, facts) : lines;
}

void shake_hands(Communicator& group, const ModelOptions& options, WeightsFrom from) {
  const std::vector<std::string> lines = problems_of(group, options, from);
  if (lines.empty()) return;
  for (size_t i = 0; group.rank() == 0 && i + 1 < lines.size(); ++i) {
    print_error("qwen3: " + lines[i]);
  }
  throw UsageError("qwen3: " + lines.back());
}

// All compute as the weakest processor does: instruction sets differ in last bits.
void agree_on_isa(Communicator& group, ModelOptions& options) {
  CpuIsa weakest = cpu_info().best_isa;
  for (const std::string& name : group.all_gather(std::string(isa_name(weakest)))) {
    weakest = std::min(weakest, parse_isa(name));
  }
  if (!options.cpu_isa.empty()) return;
  if (group.rank() == 0 && weakest != cpu_info().best_isa) {
    print_note(fmt::format("all ranks compute with {}, which every host has", isa_name(weakest)));
  }
  options.cpu_isa = isa_name(weakest);
}

constexpr const char* kVisibleCards = "CUDA_VISIBLE_DEVICES";

// The first card that a rank sees becomes its own: each another one. It goes on seeing those of the others, whose
// memory it reaches. A launcher that has given each rank a card has done it already. Whether all have one is
// seen when they look.
void choose_card(Communicator& group) {
  const char* const set = std::getenv(kVisibleCards);
  const std::string mine = set == nullptr ? "all" : set;
  const std::vector<std::string> all = group.all_gather(mine);
  const std::vector<int>& here = group.local_ranks();
  for (const int rank : here) {
    if (all[static_cast<size_t>(rank)] != mine) return;
  }
  std::vector<std::string> cards;
  if (set == nullptr) {
    for (size_t i = 0; i < here.size(); ++i) cards.push_back(fmt::format("{}", i));
  } else {
    for (size_t begin = 0; begin <= mine.size();) {
      const size_t end = std::min(mine.find(',', begin), mine.size());
      cards.push_back(mine.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  const auto own = static_cast<size_t>(std::ranges::find(here, group.rank()) - here.begin());
  if (own < cards.size()) {
    std::rotate(cards.begin(), cards.begin() + static_cast<int64_t>(own), cards.end());
  } else {
    cards = {"none"};
  }
  setenv(kVisibleCards, fmt::format("{}", fmt::join(cards, ",")).c_str(), 1);
}

// "auto" is the card where every rank has one. Where ranks want different backends the handshake says so.
void agree_on_backend(Communicator& group, ModelOptions& options) {
  const std::vector<std::string> wanted = group.all_gather(options.backend);
  const bool alike = std::ranges::all_of(wanted, [&](const auto& w) { return w == wanted[0]; });
  if (!alike || (options.backend != "auto" && options.backend != "cuda")) return;
  choose_card(group);
  const SignalsBlocked blocked;  // for the threads that the driver starts
  const std::vector<std::string> all = group.all_gather(has_cuda_device() ? "a card" : "none");
  const auto n_cards = std::ranges::count(all, "a card");
  if (options.backend == "cuda" && n_cards > 0 && n_cards < group.size()) {
    throw UsageError(
        fmt::format("qwen3: --backend cuda: {} ranks, and cards that they may use for {}; each "
                    "takes one: expected --ranks {}, or more cards in {}",
                    group.size(),
                    n_cards,
                    n_cards,
                    kVisibleCards));
  }
  if (options.backend == "auto") options.backend = n_cards == group.size() ? "cuda" : "cpu";
}

ExitCode work_for_rank0(Communicator& group, const ModelOptions& options, WeightsFrom from) {
  try {
    run_group_worker(load_model(options, {.quiet = true}, from));
  } catch (const std::exception& error) {
    group.end_group(fmt::format("{}: {}; the group ends", group.name(group.rank()), error.what()));
    throw;
  }
  return kDone;
}

// Whoever watches may just be saying why.
void wait_if_ending(const Communicator& group) {
  if (group.ended()) std::this_thread::sleep_for(4 * kSilence);
}

std::unique_ptr<Communicator> join_group(const Launch& launch,
                                         ModelOptions& options,
                                         Cores& cores) {
  const SignalsBlocked blocked;
  signal(SIGALRM, on_late_start);
  alarm(kStartSeconds);
  std::unique_ptr<ProcessGroup> processes = begin_group(launch);
  if (options.ranks > 0 && options.ranks != processes->size()) {
    throw UsageError(fmt::format(
        "qwen3: --ranks {}, but {} started {}", options.ranks, launch.by, processes->size()));
  }
  cores = share_cores(*processes, options.threads);
  options.threads = cores.n_threads;
  auto group = std::make_unique<Communicator>(
      std::move(processes),
      CommunicatorOptions{.peer_seconds = static_cast<double>(options.peer_seconds),
                          .spinning = cores.spinning,
                          .on_end = end_process_of_rank});
  alarm(0);
  return group;
}

ExitCode act_in_group(std::unique_ptr<Communicator> group,
                      ModelOptions& options,
                      WeightsFrom from,
                      const std::function<ExitCode()>& body) {
  g_state.group = group.get();
  try {
    agree_on_backend(*group, options);
    agree_on_isa(*group, options);
    shake_hands(*group, options, from);
    const ExitCode code = group->rank() == 0 ? body() : work_for_rank0(*group, options, from);
    if (group->rank() == 0 && !g_state.loaded) {
      leave_ranks();
      static_cast<void>(group.release());
      return code;
    }
    if (group->rank() == 0) stop_group_workers(*group);
    group->all_gather({});  // still watched: whoever freezes now is named
    g_state.group = nullptr;
    group.reset();
    return code;
  } catch (const std::exception&) {
    wait_if_ending(*group);
    if (group->rank() == 0) leave_ranks();  // the others leave the end to it
    static_cast<void>(group.release());
    throw;
  }
}

}  // namespace

Communicator* group_of_ranks() { return g_state.group; }
void note_model_of_ranks() { g_state.loaded = true; }

void leave_ranks() {
  if (g_state.group == nullptr) return;
  g_state.leaving = true;
  g_state.group->end_group({});
}

ExitCode on_ranks(ModelOptions& options, WeightsFrom from, const std::function<ExitCode()>& body) {
  const std::optional<Launch> launch = seen_launch();
  if (!launch) return body();
  set_signals(launch->is_first);
  try {
    Cores cores;
    std::unique_ptr<Communicator> group = join_group(*launch, options, cores);
    if (group->size() == 1) {
      group.reset();
      return body();
    }
    if (group->rank() == 0 && !cores.note.empty()) print_note(cores.note);
    return act_in_group(std::move(group), options, from, body);
  } catch (const UsageError&) {
    if (launch->is_first) throw;
    // Rank 0 says it.
    std::this_thread::sleep_for(kSilence);
    return kWrongUsage;
  } catch (const std::exception&) {
    if (launch->is_first) throw;
    std::this_thread::sleep_for(kSilence);
    return kFailed;
  }
}

}  // namespace qwen3::cli
