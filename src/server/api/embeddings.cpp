// POST /v1/embeddings: the last token's final hidden state, cut to `dimensions` (Matryoshka: the
// first values are an embedding by themselves) and scaled to length 1.
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <span>
#include <utility>

#include "base/text.h"
#include "server/api/answer_json.h"
#include "server/api/completion_request.h"
#include "server/api/generation.h"
#include "server/api/handlers.h"
#include "server/api/json_writer.h"

namespace qwen3::server {
namespace {

constexpr size_t kTextOfFloat = 12;

// The little-endian bytes of the floats.
std::string base64_floats(std::span<const float> values) {
  std::vector<uint8_t> bytes;
  bytes.reserve(values.size() * 4);
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8)
      bytes.push_back(static_cast<uint8_t>(bits >> shift));
  }
  return base64(bytes);
}

struct EmbeddingRequest {
  std::vector<std::vector<int32_t>> inputs;
  bool base64 = false;
  int64_t dimensions = 0;
};

class Embeddings final : public Generation {
 public:
  Embeddings(Service& service,
             const ServedModel& model,
             const HttpRequest& http,
             ExchangePtr exchange,
             const EmbeddingRequest& request)
      : Generation(service, model, http, std::move(exchange)),
        base64_(request.base64),
        dimensions_(static_cast<size_t>(request.dimensions)),
        vectors_(request.inputs.size()) {}

 private:
  void on_event(size_t index, const Event& event) override {
    if (!event.finish) return;
    usage_.prompt_tokens += event.usage.prompt_tokens;
    if (event.embedding.size() < dimensions_) {
      ApiError error(500, "internal_error", "the engine failed on this request");
      error.detail = fmt::format(
          "an embedding of {} values, expected {}", event.embedding.size(), dimensions_);
      return fail(error);
    }
    vectors_[index].assign(event.embedding.begin(),
                           event.embedding.begin() + static_cast<int64_t>(dimensions_));
    normalise(vectors_[index]);
    ++n_embedded_;
  }

  static void normalise(std::vector<float>& vector) {
    double sum = 0;
    for (const float value : vector) sum += double{value} * value;
    const double scale = sum > 0 ? 1.0 / std::sqrt(sum) : 0;
    for (float& value : vector) value = static_cast<float>(value * scale);
  }

  // The numbers, and the text they become.
  int64_t gathered_bytes() const override {
    return static_cast<int64_t>(n_embedded_ * dimensions_ * (sizeof(float) + kTextOfFloat));
  }

  void complete() override {
    std::string out = R"({"object":"list","data":[)";
    for (size_t i = 0; i < vectors_.size(); ++i) {
      if (i > 0) out += ',';
      fmt::format_to(
          std::back_inserter(out), R"({{"object":"embedding","index":{},"embedding":)", i);
      append_vector(out, vectors_[i]);
      out += '}';
    }
    out += R"(],"model":)";
    append_json_string(out, service().model_name());
    fmt::format_to(std::back_inserter(out),
                   R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})",
                   usage_.prompt_tokens);
    service().metrics().answered({.finish_reason = "stop",
                                  .prompt_tokens = usage_.prompt_tokens,
                                  .total_seconds = seconds_since_received()});
    note_usage(exchange(), usage_, "stop");
    exchange().send({.body = std::move(out)});
  }

  void append_vector(std::string& out, const std::vector<float>& vector) const {
    if (base64_) {
      out += '"' + base64_floats(vector) + '"';
      return;
    }
    out += '[';
    for (size_t i = 0; i < vector.size(); ++i) {
      if (i > 0) out += ',';
      append_json_float(out, vector[i]);
    }
    out += ']';
  }

  void failed(const ApiError& error) override { exchange().send(error_response(error)); }

  bool base64_;
  size_t dimensions_;
  std::vector<std::vector<float>> vectors_;
  size_t n_embedded_ = 0;
  TokenUsage usage_;
};

// Texts get the end token that the checkpoint's tokenizer puts after them: its state is the
// embedding. Token ids are taken as they are.
std::vector<std::vector<int32_t>> read_inputs(Fields& fields,
                                              const ServedModel& model,
                                              const ApiLimits& limits) {
  const Json* input = fields.value("input");
  if (input == nullptr) refuse("input", "is missing");
  const auto encode = [&](const Json& text) {
    return model.tokenizer().encode_with_post_processor(text.get_ref<const std::string&>(),
                                                        ControlTokens::as_text);
  };
  std::vector<std::vector<int32_t>> inputs;
  std::vector<CompletionPrompt> prompts =
      read_prompts(*input, "input", static_cast<size_t>(limits.max_inputs), model);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const Json& value = input->is_array() && !input->front().is_number() ? (*input)[i] : *input;
    inputs.push_back(value.is_string() ? encode(value) : std::move(prompts[i].ids));
    const std::string path = fmt::format("input[{}]", i);
    if (inputs.back().empty()) refuse(path, "expected at least one token, got none");
    const auto n_tokens = static_cast<int64_t>(inputs.back().size());
    if (n_tokens > model.max_model_len) refuse_context(path, model.max_model_len, n_tokens, 0);
  }
  return inputs;
}

EmbeddingRequest read_embedding_request(Fields& fields,
                                        const ServedModel& model,
                                        const ServiceOptions& options) {
  EmbeddingRequest out;
  const std::string format = fields.text("encoding_format", 16).value_or("float");
  if (format != "float" && format != "base64") {
    refuse("encoding_format",
           fmt::format("expected \"float\" or \"base64\", got \"{}\"", quote_for_message(format)));
  }
  out.base64 = format == "base64";
  out.dimensions =
      fields.integer("dimensions", 1, model.shape.hidden_size).value_or(model.shape.hidden_size);
  fields.value("user");
  if (fields.used("truncate_prompt_tokens")) {
    refuse_unsupported("truncate_prompt_tokens", "inputs are never cut silently");
  }
  out.inputs = read_inputs(fields, model, options.limits);
  return out;
}

}  // namespace

void embeddings(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::embed, "/v1/embeddings");
  EmbeddingRequest request = read_embedding_request(fields, model, service.options());
  note_unread(fields, *exchange);
  std::vector<Request> requests;
  for (std::vector<int32_t>& ids : request.inputs) {
    Request one = make_request({}, std::move(ids), http, service.options());
    one.embed = true;
    requests.push_back(std::move(one));
  }
  std::make_shared<Embeddings>(service, model, http, exchange, request)
      ->start(std::move(requests), kRequestsAtOnce);
}

}  // namespace qwen3::server
