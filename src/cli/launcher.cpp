#include "cli/launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/numbers.h"

namespace qwen3::cli {
namespace {

constexpr int kSignalCode = 128;  // as shells number the end by a signal
constexpr int kPatientSignals = 2;

std::string_view environment_word(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

struct KnownLauncher {
  const char *by, *size, *rank;
};
// In this order: what is inside srun may have been started by mpirun.
constexpr KnownLauncher kLaunchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
    {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
    {"mpiexec", "PMI_SIZE", "PMI_RANK"},
};

std::string find_in_path(const std::string& program) {
  std::string_view path = environment_word("PATH");
  while (!path.empty()) {
    const size_t end = std::min(path.find(':'), path.size());
    const std::string candidate = fmt::format("{}/{}", path.substr(0, end), program);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return {};
}

std::vector<std::string> mpirun_words(const std::string& mpirun, int n_ranks) {
  std::vector<std::string> words{mpirun, "--quiet"};
  if (geteuid() == 0) words.emplace_back("--allow-run-as-root");
  for (const char* word : {"--oversubscribe", "--bind-to", "none"}) words.emplace_back(word);
  constexpr std::pair<const char*, const char*> kSettings[] = {
      {"odls_base_sigkill_timeout", "0"},  // a lost rank ends the others at once
      {"plm", "isolated"},                 // this host, which then needs no ssh
      {"pml", "ob1"},                      // memory of this host, and no network
      {"btl", "self,vader"},
      {"btl_vader_single_copy_mechanism", "none"},  // containers forbid the others
      {"oob_tcp_if_include", "lo"},
  };
  for (const auto& [name, value] : kSettings) {
    for (const char* word : {"--mca", name, value}) words.emplace_back(word);
  }
  words.emplace_back("-n");
  words.push_back(fmt::format("{}", n_ranks));
  return words;
}

// Signals that end the group, and the news that mpirun has ended.
sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) {
    struct sigaction action = {};
    sigaction(signal_number, nullptr, &action);
    if (signal_number == SIGCHLD || action.sa_handler != SIG_IGN) sigaddset(&set, signal_number);
  }
  return set;
}

[[noreturn]] void become_mpirun(std::vector<std::string>& words,
                                const sigset_t& signals,
                                pid_t parent) {
  setpgid(0, 0);                     // Ctrl-C of a terminal is for us, who pass it on
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // and mpirun does not outlive us
  if (getppid() != parent) _exit(kFailed);
  if (stdin_is_terminal()) {
    // A group in the background may not read it.
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  }
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  const std::string_view text = "qwen3: --ranks: mpirun could not be started\n";
  write_to(STDERR_FILENO, text);
  _exit(kFailed);
}

// mpirun would kill the ranks for TERM and INT, but passes USR1 on to them. Whoever insists gets TERM.
ExitCode wait_for_mpirun(pid_t mpirun, const sigset_t& signals) {
  for (int n_asked = 0;;) {
    const int got = sigwaitinfo(&signals, nullptr);
    if (got < 0) continue;
    if (got != SIGCHLD) {
      kill(mpirun, ++n_asked > kPatientSignals ? SIGTERM : SIGUSR1);
      continue;
    }
    int status = 0;
    if (waitpid(mpirun, &status, WNOHANG) != mpirun) continue;
    return static_cast<ExitCode>(WIFSIGNALED(status) ? kSignalCode + WTERMSIG(status)
                                                     : WEXITSTATUS(status));
  }
}

ExitCode run_mpirun(int n_ranks, std::span<const char* const> own_words) {
  const std::string mpirun = find_in_path("mpirun");
  QWEN3_CHECK(!mpirun.empty(),
              ErrorKind::not_found,
              "qwen3: --ranks {}: there is no mpirun in PATH; install Open MPI (Debian: "
              "openmpi-bin)",
              n_ranks);
  std::vector<std::string> words = mpirun_words(mpirun, n_ranks);
  words.push_back(std::filesystem::read_symlink("/proc/self/exe").string());
  words.insert(words.end(), own_words.begin(), own_words.end());
  const sigset_t signals = watched_signals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t self = getpid();
  const pid_t child = fork();
  QWEN3_CHECK(child >= 0, ErrorKind::internal, "qwen3: --ranks: fork: {}", std::strerror(errno));
  if (child == 0) become_mpirun(words, before, self);
  const ExitCode code = wait_for_mpirun(child, signals);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return code;
}

}  // namespace

std::optional<Launch> seen_launch() {
  for (const KnownLauncher& known : kLaunchers) {
    const auto size = parse_integer(environment_word(known.size));
    if (!size) continue;
    if (*size <= 1) return std::nullopt;
    return Launch{known.by, *size, parse_integer(environment_word(known.rank)).value_or(0) == 0};
  }
  const auto rank = parse_integer(environment_word("PMIX_RANK"));
  if (!rank) return std::nullopt;
  return Launch{"a launcher", 0, *rank == 0};
}

std::optional<ExitCode> start_ranks(const CLI::App& command,
                                    const std::string& name,
                                    std::span<const char* const> words) {
  const CLI::Option* const option = command.get_option_no_throw("--ranks");
  const std::optional<Launch> launch = seen_launch();
  if (launch) {
    if (option != nullptr || launch->n_tasks == 0) return std::nullopt;
    if (!launch->is_first) return kWrongUsage;
    throw UsageError(
        fmt::format("{}: {} started {} tasks, and this command runs as one process; expected "
                    "serve, generate, logits or bench",
                    name,
                    launch->by,
                    launch->n_tasks));
  }
  if (option == nullptr || option->count() == 0) return std::nullopt;
  const int n_ranks = option->as<int>();
  if (n_ranks <= 1) return std::nullopt;
  return run_mpirun(n_ranks, words);
}

}  // namespace qwen3::cli
