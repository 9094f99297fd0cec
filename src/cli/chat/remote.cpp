#include "cli/chat/remote.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/chat/event_reader.h"
#include "eval/run/chat_reply.h"
#include "eval/run/http.h"
#include "qwen3/sampling.h"

namespace qwen3::cli {
namespace {

using Time = std::chrono::steady_clock;

constexpr double kListSeconds = 10;
constexpr int kTurnMs = 50;  // how late Ctrl-C may be noticed
constexpr size_t kMaxErrorBytes = size_t{1} << 16;

// Who serves, as /v1/models has it in "owned_by".
constexpr std::pair<std::string_view, ServerKind> kOwners[] = {{"qwen3.cpp", ServerKind::qwen3},
                                                               {"vllm", ServerKind::vllm},
                                                               {"llamacpp", ServerKind::llama_cpp},
                                                               {"sglang", ServerKind::sglang}};

// Fields that OpenAI does not have, and who takes them under our names and with our meaning.
bool takes(ServerKind kind, std::string_view field) {
  for (const char* standard :
       {"max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty"}) {
    if (field == standard) return true;
  }
  if (kind == ServerKind::other) return false;
  return field != "repetition_penalty" || kind != ServerKind::llama_cpp;
}

double seconds_between(Time::time_point begin, Time::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// What one answer is collected by, in curl's callback.
struct Receiver {
  CURL* handle = nullptr;
  EventReader& events;
  std::string error_body = {};
  std::optional<Time::time_point> first = {};
  std::exception_ptr thrown = {};  // C may not see it pass

  void take(std::string_view bytes) {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
      error_body += bytes.substr(0, kMaxErrorBytes - std::min(kMaxErrorBytes, error_body.size()));
      return;
    }
    events.add(bytes);
    if (!first && events.any_text()) first = Time::now();
  }
};

size_t on_answer(char* data, size_t size, size_t n, void* to) {
  auto& receiver = *static_cast<Receiver*>(to);
  try {
    receiver.take({data, size * n});
    return size * n;
  } catch (...) {
    receiver.thrown = std::current_exception();
    return 0;
  }
}

class RemoteAnswerer final : public Answerer {
 public:
  RemoteAnswerer(eval::ServerAddress server,
                 eval::CurlList headers,
                 std::string model,
                 ServerKind kind)
      : server_(std::move(server)),
        headers_(std::move(headers)),
        model_(std::move(model)),
        kind_(kind),
        multi_(curl_multi_init()) {
    QWEN3_CHECK(multi_ != nullptr, ErrorKind::io, "libcurl: cannot start");
  }

  Answer answer(const Json& messages,
                const ChatSettings& settings,
                const InterruptGuard& interrupt,
                const OnPiece& on_piece) override;
  std::string speed(const Outcome& outcome) const override;
  Json timing(const Outcome& outcome) const override;

 private:
  // The transfer's end; nothing when Ctrl-C came first.
  std::optional<CURLcode> perform(CURL* handle, const InterruptGuard& interrupt);

  const eval::ServerAddress server_;
  const eval::CurlList headers_;
  const std::string model_;
  const ServerKind kind_;
  const eval::CurlMulti multi_;  // keeps the connection
};

std::optional<CURLcode> RemoteAnswerer::perform(CURL* handle, const InterruptGuard& interrupt) {
  const auto check = [](CURLMcode code) {
    QWEN3_CHECK(code == CURLM_OK, ErrorKind::io, "libcurl: {}", curl_multi_strerror(code));
  };
  check(curl_multi_add_handle(multi_.get(), handle));
  struct Removed {
    CURLM* multi;
    CURL* handle;
    ~Removed() { curl_multi_remove_handle(multi, handle); }  // cancels what is under way
  } const removed{multi_.get(), handle};
  while (!interrupt.interrupted()) {
    int n_running = 0, n_left = 0;
    check(curl_multi_perform(multi_.get(), &n_running));
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &n_left)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    check(curl_multi_poll(multi_.get(), nullptr, 0, kTurnMs, nullptr));
  }
  return std::nullopt;
}

Answer RemoteAnswerer::answer(const Json& messages,
                              const ChatSettings& settings,
                              const InterruptGuard& interrupt,
                              const OnPiece& on_piece) {
  const std::string body = dump_json(chat_request_body(messages, settings, model_, kind_));
  const std::string url = server_.base + "/chat/completions";
  Answer result;
  EventReader events([&](const AnswerPiece& piece) {
    const bool reasoning = piece.kind == AnswerPiece::Kind::reasoning;
    (reasoning ? result.reasoning : result.content) += piece.text;
    on_piece(piece);
  });
  eval::ReplyBody unused;
  const eval::CurlEasy handle = eval::make_request_handle(server_, headers_.get(), unused);
  Receiver receiver{.handle = handle.get(), .events = events};
  std::array<char, CURL_ERROR_SIZE> error{};
  curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, error.data());
  curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, on_answer);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &receiver);

  const Time::time_point begin = Time::now();
  const std::optional<CURLcode> code = perform(handle.get(), interrupt);
  const Time::time_point end = Time::now();
  if (!code) {
    events.flush();
  } else {
    if (receiver.thrown) {
      try {
        std::rethrow_exception(receiver.thrown);
      } catch (const Error& why) {
        if (why.kind() != ErrorKind::device) throw;  // nobody reads the answer
        fail(ErrorKind::device, "{}: {}", server_.shown, why.what());
      }
    }
    long status = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    QWEN3_CHECK(*code == CURLE_OK,
                ErrorKind::device,
                "{}: {}",
                server_.shown,
                error[0] != 0 ? error.data() : curl_easy_strerror(*code));
    QWEN3_CHECK(status == 200,
                ErrorKind::device,
                "{}: status {}: {}",
                server_.shown,
                status,
                eval::server_message(receiver.error_body));
    events.finish();
  }
  result.outcome.finish = code ? events.finish_reason() : FinishReason::cancelled;
  result.outcome.usage = events.usage();
  const Time::time_point first = receiver.first.value_or(end);
  result.outcome.usage.prefill_seconds = seconds_between(begin, first);
  result.outcome.usage.decode_seconds = seconds_between(first, end);
  return result;
}

// Of what the server counts; the times are those of this side.
std::string RemoteAnswerer::speed(const Outcome& outcome) const {
  const Usage& usage = outcome.usage;
  std::string line = fmt::format("first text after {:.2f} s", usage.prefill_seconds);
  if (usage.prompt_tokens > 0) line += fmt::format(", prompt {} tokens", usage.prompt_tokens);
  if (usage.cached_tokens > 0) line += fmt::format(" ({} cached)", usage.cached_tokens);
  if (usage.completion_tokens > 0)
    line += fmt::format("; answer {} tokens", usage.completion_tokens);
  if (usage.completion_tokens > 1 && usage.decode_seconds > 0) {
    line += fmt::format(", {:.1f} tok/s",
                        static_cast<double>(usage.completion_tokens - 1) / usage.decode_seconds);
  }
  return line + fmt::format("; finish: {}", finish_name(outcome.finish));
}

Json RemoteAnswerer::timing(const Outcome& outcome) const {
  const Usage& usage = outcome.usage;
  return {{"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"first_text_seconds", usage.prefill_seconds},
          {"decode_seconds", usage.decode_seconds}};
}

// {"id", "owned_by"} of the models that a server lists.
std::vector<std::pair<std::string, std::string>> models_in(const std::string& body,
                                                           const std::string& shown) {
  std::vector<std::pair<std::string, std::string>> models;
  const Json json = parse_json(body, shown);
  if (!json.is_object() || !json.contains("data") || !json["data"].is_array()) return models;
  const auto text = [](const Json& entry, const char* key) {
    return entry.contains(key) && entry[key].is_string() ? entry[key].get<std::string>() : "";
  };
  for (const Json& entry : json["data"]) {
    if (!entry.is_object() || text(entry, "id").empty()) continue;
    models.emplace_back(text(entry, "id"), text(entry, "owned_by"));
  }
  return models;
}

}  // namespace

Json chat_request_body(const Json& messages,
                       const ChatSettings& settings,
                       const std::string& model,
                       ServerKind kind) {
  Json sent = messages;
  for (Json& message : sent) message.erase("reasoning_content");
  Json body = {{"model", model},
               {"messages", std::move(sent)},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  const auto check = [&](std::string_view field) {
    QWEN3_CHECK(
        takes(kind, field),
        ErrorKind::unsupported,
        "{}: no field of the OpenAI API, and this server is not known to take it; leave it out",
        field);
  };
  for (const SamplingField& field : sampling_fields()) {
    const auto asked = settings.asked.find(std::string(field.name));
    if (asked == settings.asked.end()) continue;
    check(field.name);
    if (field.no_limit == asked->second && field.name == "max_tokens") continue;
    body[asked->first] =
        field.is_integer() ? Json(static_cast<int64_t>(asked->second)) : Json(asked->second);
  }
  if (settings.defaults.seed) body["seed"] = *settings.defaults.seed;
  if (!settings.stop.empty()) body["stop"] = settings.stop;
  if (settings.defaults.ignore_eos) {
    check("ignore_eos");
    body["ignore_eos"] = true;
  }
  if (settings.thinking) {
    check("chat_template_kwargs (--thinking)");
    body["chat_template_kwargs"] = {{"enable_thinking", *settings.thinking}};
  }
  if (settings.preset != "none") {
    QWEN3_CHECK(kind == ServerKind::qwen3,
                ErrorKind::unsupported,
                "preset: only a qwen3.cpp server has them; got {}; give the numbers",
                settings.preset);
    body["preset"] = settings.preset;
  }
  return body;
}

RemoteServer connect(const RemoteOptions& options) {
  eval::ServerAddress server = eval::parse_server_address(options.url, "--url");
  if (server.base == server.root &&
      server.base.find('/', server.base.find("//") + 2) == server.base.npos) {
    server.base += "/v1";
    server.shown += "/v1";
  }
  eval::CurlList headers = eval::request_headers(options.api_key);
  const eval::GetResult list =
      eval::http_get(server, server.base + "/models", headers.get(), kListSeconds);
  QWEN3_CHECK(list.status != 0,
              ErrorKind::io,
              "{}: {}; is the server running? qwen3 serve starts one",
              server.shown,
              list.error);
  QWEN3_CHECK(list.status != 401 && list.status != 403,
              ErrorKind::io,
              "{}: status {}: {}; --api-key-env NAME says which variable has the key",
              server.shown,
              list.status,
              eval::server_message(list.body));
  std::vector<std::pair<std::string, std::string>> models;
  if (list.status == 200) models = models_in(list.body, server.shown + "/models");
  std::string model = options.model;
  const auto listed = [&](const std::string& name) {
    for (const auto& [id, owner] : models) {
      if (id == name) return true;
    }
    return false;
  };
  if (!options.model_typed && !listed(model)) model = models.empty() ? "" : models.front().first;
  QWEN3_CHECK(!model.empty(),
              ErrorKind::not_found,
              "{}: it lists no model (status {}: {}); name one with --model",
              server.shown,
              list.status,
              eval::server_message(list.body));
  ServerKind kind = ServerKind::other;
  for (const auto& [owner, its_kind] : kOwners) {
    if (!models.empty() && models.front().second == owner) kind = its_kind;
  }
  RemoteServer remote;
  remote.model = model;
  remote.description = fmt::format("{} at {}", quote_for_message(model, 200), server.shown);
  remote.answerer = std::make_unique<RemoteAnswerer>(
      std::move(server), std::move(headers), std::move(model), kind);
  return remote;
}

}  // namespace qwen3::cli
