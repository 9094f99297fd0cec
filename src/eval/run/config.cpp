#include "eval/run/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "eval/run/yaml_values.h"
#include "qwen3/sampling.h"

namespace qwen3::eval {
namespace {

// One key and its value, with what is needed to complain about it.
struct Field {
  std::string where;  // "config.yaml: line 3: top_p"
  const Json& value;

  [[noreturn]] void refuse(std::string_view expected) const {
    std::string hint;
    if (value.is_string()) hint = number_hint(value.get_ref<const std::string&>());
    fail(ErrorKind::corrupt_file,
         "{}: expected {}; got {}{}",
         where,
         expected,
         value.is_null() ? "nothing" : quote_for_message(dump_json(value)),
         hint);
  }

  // Quoted numbers, and those that YAML 1.1 takes for text.
  static std::string number_hint(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789.+-eE") != text.npos) return {};
    return ", which is text in YAML 1.1; write a number such as 0.001 or 1.0e-3, without quotes";
  }
};

using Read = std::function<void(EvalConfig&, const Field&)>;

template <typename Member>
Read text(Member member) {
  return [member](EvalConfig& config, const Field& field) {
    if (!field.value.is_string() || field.value.get_ref<const std::string&>().empty()) {
      field.refuse("text");
    }
    config.*member = field.value.get<std::string>();
  };
}

template <typename Member>
Read integer(Member member, int64_t low, int64_t high) {
  return [member, low, high](EvalConfig& config, const Field& field) {
    const bool fits = field.value.is_number_integer() && field.value.get<int64_t>() >= low &&
                      field.value.get<int64_t>() <= high;
    if (!fits) field.refuse(fmt::format("an integer from {} to {}", low, high));
    config.*member = field.value.get<int64_t>();
  };
}

template <typename Member>
Read number(Member member, double low, double high) {
  return [member, low, high](EvalConfig& config, const Field& field) {
    const bool fits = field.value.is_number() && field.value.get<double>() >= low &&
                      field.value.get<double>() <= high;
    if (!fits) field.refuse(fmt::format("a number from {} to {}", low, high));
    config.*member = field.value.get<double>();
  };
}

Read object(Json EvalConfig::*member) {
  return [member](EvalConfig& config, const Field& field) {
    if (!field.value.is_object()) field.refuse("a map");
    config.*member = field.value;
  };
}

// One text or a list of them.
Read texts(std::vector<std::string> EvalConfig::*member) {
  return [member](EvalConfig& config, const Field& field) {
    const Json list = field.value.is_array() ? field.value : Json::array({field.value});
    std::vector<std::string> values;
    for (const Json& item : list) {
      if (!item.is_string() || item.get_ref<const std::string&>().empty()) {
        field.refuse("text or a list of texts");
      }
      values.push_back(item.get<std::string>());
    }
    if (values.empty() || values.size() > 1024) field.refuse("1 to 1024 texts");
    config.*member = std::move(values);
  };
}

Read boolean(std::optional<bool> EvalConfig::*member) {
  return [member](EvalConfig& config, const Field& field) {
    if (!field.value.is_boolean()) field.refuse("true or false");
    config.*member = field.value.get<bool>();
  };
}

constexpr std::array kChooseBy = {ChooseBy::text,
                                  ChooseBy::loglikelihood,
                                  ChooseBy::loglikelihood_per_character,
                                  ChooseBy::loglikelihood_per_byte};

void read_choose_by(EvalConfig& config, const Field& field) {
  const auto named = [&](ChooseBy by) {
    return field.value.is_string() &&
           field.value.get_ref<const std::string&>() == choose_by_name(by);
  };
  const auto found = std::find_if(kChooseBy.begin(), kChooseBy.end(), named);
  if (found != kChooseBy.end()) {
    config.choose_by = *found;
    return;
  }
  field.refuse("text, loglikelihood, loglikelihood_per_character or loglikelihood_per_byte");
}

void read_choose_prompt(EvalConfig& config, const Field& field) {
  if (!field.value.is_string()) field.refuse("text with {prompt} in it");
  config.choose_prompt = field.value.get<std::string>();
  const size_t first = config.choose_prompt.find(kPromptPlace);
  if (first == std::string::npos ||
      config.choose_prompt.find(kPromptPlace, first + 1) != std::string::npos) {
    field.refuse("text with {prompt} in it, once");
  }
}

// Unlike other texts it may be empty.
void read_choose_delimiter(EvalConfig& config, const Field& field) {
  if (!field.value.is_string()) field.refuse("text (\"\" for none)");
  config.choose_delimiter = field.value.get<std::string>();
}

Json as_json(const SamplingField& field, double value) {
  return field.is_integer() ? Json(static_cast<int64_t>(value)) : Json(value);
}

Read sampling(const SamplingField& field) {
  return [&field](EvalConfig& config, const Field& given) {
    const Json& value = given.value;
    const bool fits = (field.is_integer() ? value.is_number_integer() : value.is_number()) &&
                      field.in_range(value.get<double>());
    if (!fits) given.refuse(field.range());
    config.sampling[std::string(field.name)] = as_json(field, value.get<double>());
  };
}

struct Key {
  std::string name;
  Read read;
};

std::vector<Key> with_sampling(std::vector<Key> keys) {
  for (const SamplingField& field : sampling_fields()) {
    keys.push_back({std::string(field.name), sampling(field)});
  }
  return keys;
}

const std::vector<Key>& key_table() {
  constexpr double kLongSeconds = 1e9;
  static const std::vector<Key> keys = with_sampling({
      {"input_file", text(&EvalConfig::input_file)},
      {"output_file", text(&EvalConfig::output_file)},
      {"n_samples", integer(&EvalConfig::n_samples, 1, 1'000'000)},
      {"max_workers", integer(&EvalConfig::max_workers, 1, 4096)},
      {"base_url", texts(&EvalConfig::base_urls)},
      {"base_urls", texts(&EvalConfig::base_urls)},
      {"model_name", text(&EvalConfig::model_name)},
      {"eval_input_path", text(&EvalConfig::eval_input_path)},
      {"details_path", text(&EvalConfig::details_path)},
      {"task_name", text(&EvalConfig::task_name)},
      {"seed", integer(&EvalConfig::seed, 0, int64_t{1} << 62)},
      {"stop", texts(&EvalConfig::stop)},
      {"thinking", boolean(&EvalConfig::thinking)},
      {"chat_template_kwargs", object(&EvalConfig::chat_template_kwargs)},
      {"extra_body", object(&EvalConfig::extra_body)},
      {"system", text(&EvalConfig::system)},
      {"choose_by", read_choose_by},
      {"choose_prompt", read_choose_prompt},
      {"choose_delimiter", read_choose_delimiter},
      {"attempts", integer(&EvalConfig::attempts, 1, 1000)},
      {"retry_base", number(&EvalConfig::retry_base_seconds, 0, 3600)},
      {"retry_max", number(&EvalConfig::retry_max_seconds, 0, 3600)},
      {"timeout", number(&EvalConfig::timeout_seconds, 0.001, kLongSeconds)},
      {"deadline", number(&EvalConfig::deadline_seconds, 0.001, kLongSeconds)},
      {"server_wait", number(&EvalConfig::server_wait_seconds, 0, kLongSeconds)},
      {"max_response_bytes", integer(&EvalConfig::max_response_bytes, 1024, int64_t{1} << 27)},
  });
  return keys;
}

void refuse_both_urls(const EvalConfig& config) {
  const auto given = [&](std::string_view key) {
    return std::any_of(
        config.lines.begin(), config.lines.end(), [&](const auto& e) { return e.first == key; });
  };
  QWEN3_CHECK(!given("base_url") || !given("base_urls"),
              ErrorKind::corrupt_file,
              "{}: base_url and base_urls are both given; keep one (each may be a list)",
              config.name);
}

// Thinking is one of the template's variables; both ways to set it must agree.
void lay_thinking_into_kwargs(EvalConfig& config) {
  if (!config.thinking) return;
  Json& kwargs = config.chat_template_kwargs;
  QWEN3_CHECK(!kwargs.contains("enable_thinking") || kwargs["enable_thinking"] == *config.thinking,
              ErrorKind::corrupt_file,
              "{}: thinking and chat_template_kwargs.enable_thinking differ; keep one",
              config.name);
  kwargs["enable_thinking"] = *config.thinking;
}

// A choice is scored after a plain text, once: a key that matters to chats or sampling is an error.
void check_choosing(const EvalConfig& config) {
  const bool scores = config.scores_choices();
  for (const auto& [key, line] : config.lines) {
    const bool of_choices = key == "choose_prompt" || key == "choose_delimiter";
    QWEN3_CHECK(scores || !of_choices,
                ErrorKind::corrupt_file,
                "{}: line {}: {}: has a meaning only with choose_by: loglikelihood (or a variant "
                "of it); add that, or remove this",
                config.name,
                line,
                key);
    const bool of_chats = key == "system" || key == "thinking" || key == "chat_template_kwargs";
    QWEN3_CHECK(
        !scores || !of_chats,
        ErrorKind::corrupt_file,
        "{}: line {}: {}: has no effect with choose_by: {}, which renders no chat; remove it, "
        "and put what the model should read into choose_prompt",
        config.name,
        line,
        key,
        choose_by_name(config.choose_by));
    QWEN3_CHECK(!scores || key != "n_samples" || config.n_samples == 1,
                ErrorKind::corrupt_file,
                "{}: line {}: n_samples: expected 1 with choose_by: {}, which samples nothing; "
                "got {}",
                config.name,
                line,
                choose_by_name(config.choose_by),
                config.n_samples);
    QWEN3_CHECK(!scores || key != "task_name" || config.task_name == "multiple_choice",
                ErrorKind::corrupt_file,
                "{}: line {}: task_name: expected multiple_choice with choose_by: {}, whose "
                "answers are letters; got {}",
                config.name,
                line,
                choose_by_name(config.choose_by),
                quote_for_message(config.task_name));
  }
}

// JSON has no NaN and no infinities.
void refuse_non_finite(const Json& value, const std::string& where) {
  QWEN3_CHECK(!value.is_number_float() || std::isfinite(value.get<double>()),
              ErrorKind::corrupt_file,
              "{}: expected finite numbers; JSON has no .inf and .nan",
              where);
  if (value.is_structured()) {
    for (const Json& item : value) refuse_non_finite(item, where);
  }
}

}  // namespace

Json official_sampling() {
  Json values = Json::object();
  for (const auto& [name, value] : kOfficialSampling) {
    values[name] = as_json(*find_sampling_field(name), value);
  }
  return values;
}

std::string_view choose_by_name(ChooseBy by) {
  switch (by) {
    case ChooseBy::text:
      return "text";
    case ChooseBy::loglikelihood:
      return "loglikelihood";
    case ChooseBy::loglikelihood_per_character:
      return "loglikelihood_per_character";
    case ChooseBy::loglikelihood_per_byte:
      return "loglikelihood_per_byte";
  }
  return "?";
}

EvalConfig parse_eval_config(const std::string& text, const std::string& name) {
  EvalConfig config;
  config.name = name;
  const YAML::Node root = parse_yaml(text, name);
  QWEN3_CHECK(root.IsMap(),
              ErrorKind::corrupt_file,
              "{}: expected a map of keys and values (key: value)",
              name);
  const Json values = yaml_to_json(root, name);
  for (const auto& entry : root) {
    const std::string& key = entry.first.Scalar();
    const int line = entry.first.Mark().line + 1;
    config.lines.emplace_back(key, line);
    const auto known = std::find_if(
        key_table().begin(), key_table().end(), [&](const Key& k) { return k.name == key; });
    if (known == key_table().end()) {
      config.unknown_keys.push_back({key, line});
      continue;
    }
    const Field field{fmt::format("{}: line {}: {}", name, line, key), values[key]};
    refuse_non_finite(field.value, field.where);
    known->read(config, field);
  }
  refuse_both_urls(config);
  lay_thinking_into_kwargs(config);
  check_choosing(config);
  QWEN3_CHECK(config.retry_base_seconds <= config.retry_max_seconds,
              ErrorKind::corrupt_file,
              "{}: expected retry_base <= retry_max; got {} and {}",
              name,
              config.retry_base_seconds,
              config.retry_max_seconds);
  return config;
}

EvalConfig load_eval_config(const std::filesystem::path& path) {
  return parse_eval_config(read_text_file(path, kMaxConfigBytes), path.string());
}

const std::string& require_path(const EvalConfig& config,
                                const std::string EvalConfig::*member,
                                std::string_view key) {
  const std::string& value = config.*member;
  QWEN3_CHECK(!value.empty(),
              ErrorKind::invalid_argument,
              "{}: the key {} is missing; add a line \"{}: PATH\"",
              config.name,
              key,
              key);
  return value;
}

std::span<const std::string> known_config_keys() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Key& key : key_table()) list.emplace_back(key.name);
    return list;
  }();
  return names;
}

}  // namespace qwen3::eval
