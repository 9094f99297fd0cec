// One table says what every sampling field is called and where its range ends; here all that is made
// of it is held against it: the command line, the server's JSON, the YAML of evaluations, the
// engine. A field that is added to the table is tested by that.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "cli/options.h"
#include "engine/validate.h"
#include "eval/run/config.h"
#include "qwen3/sampling.h"
#include "server/api/generation_fields.h"
#include "server/api/served_model.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

// The next number beyond an end of the range.
double below(const SamplingField& field) {
  if (field.low_bound == SamplingField::Low::excluded) return field.low;
  return field.is_integer() ? field.low - 1
                            : std::nextafter(field.low, -std::numeric_limits<double>::infinity());
}
double above(const SamplingField& field) {
  return field.is_integer() ? field.high + 1
                            : std::nextafter(field.high, std::numeric_limits<double>::infinity());
}
double lowest(const SamplingField& field) {
  return field.low_bound == SamplingField::Low::included ? field.low : std::nextafter(field.low, 1);
}

// A number as YAML 1.1 and everybody else reads it.
std::string spell(const SamplingField& field, double value) {
  if (field.is_integer()) return fmt::format("{}", static_cast<int64_t>(value));
  const std::string text = fmt::format("{}", value);
  const size_t e = text.find('e');
  if (text.find('.') != text.npos || e == text.npos) return text;
  return text.substr(0, e) + ".0" + text.substr(e);
}

// Each gives "" when it takes the value, and then changes `p` if it can; else its complaint.
std::string by_option(const SamplingField& field, double value, SamplingParams& p) {
  CLI::App app;
  cli::SamplingOptions options;
  cli::add_sampling_options(app, options);
  std::vector<std::string> words{cli::option_name(field) + "=" + spell(field, value)};
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  for (const auto& [name, given] : cli::asked_sampling(options)) {
    find_sampling_field(name)->set(p, given);
  }
  return "";
}

std::string by_json(const SamplingField& field, double value, SamplingParams& p) {
  const Json body = {{std::string(field.name),
                      field.is_integer() ? Json(static_cast<int64_t>(value)) : Json(value)}};
  server::Fields fields(body);
  static const server::ServedModel model{.text = Text::load(QWEN3_SOURCE_DIR "/models/nano"),
                                         .generator = nullptr,
                                         .defaults = {},
                                         .info = {},
                                         .shape = {},
                                         .name = {},
                                         .n_tokens = 2560};
  try {
    p = server::read_generation_fields(fields, model, {}).sampling;
  } catch (const server::ApiError& error) {
    EXPECT_EQ(error.param, field.name);
    return error.what();
  }
  return "";
}

std::string by_yaml(const SamplingField& field, double value, SamplingParams& p) {
  try {
    const eval::EvalConfig config =
        eval::parse_eval_config(fmt::format("{}: {}\n", field.name, spell(field, value)), "c.yaml");
    field.set(p, config.sampling.at(std::string(field.name)).get<double>());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string by_engine(const SamplingField& field, double value, SamplingParams& p) {
  Request request{.prompt_ids = {1}};
  field.set(request.sampling, value);
  try {
    validate(request, {.n_real_tokens = 10, .max_model_len = 100});
  } catch (const Error& error) {
    return error.what();
  }
  p = request.sampling;
  return "";
}

using Reader = std::string (*)(const SamplingField&, double, SamplingParams&);

void expect_taken(Reader read, const SamplingField& field, double value) {
  SamplingParams p;
  EXPECT_EQ(read(field, value, p), "") << value;
  EXPECT_EQ(field.get(p), value);
}

void expect_refused(Reader read,
                    const SamplingField& field,
                    double value,
                    const std::string& range) {
  SamplingParams p;
  const std::string why = read(field, value, p);
  const std::string name = read == by_option ? cli::option_name(field) : std::string(field.name);
  EXPECT_THAT(why, HasSubstr(name)) << value;
  EXPECT_THAT(why, HasSubstr("expected " + range)) << value;
}

TEST(SamplingFields, EveryReaderTakesTheEndsAndRefusesWhatLiesBeyond) {
  for (const SamplingField& field : sampling_fields()) {
    SCOPED_TRACE(field.name);
    for (const Reader read : {by_option, by_yaml, by_engine}) {
      expect_taken(read, field, lowest(field));
      expect_taken(read, field, field.high);
      expect_refused(read, field, above(field), field.range());
      if (!field.accepts(below(field))) expect_refused(read, field, below(field), field.range());
    }
    expect_refused(by_engine, field, field.high * 2 + 1, field.what_it_accepts());
    for (const Reader read : {by_option, by_engine}) {
      if (field.no_limit) expect_taken(read, field, *field.no_limit);
    }
    if (field.no_limit) expect_refused(by_yaml, field, *field.no_limit, field.range());
  }
}

// The server ends temperature where OpenAI does, and takes 0 for top_p, as OpenAI does; the lengths
// have readers of their own, which know the context.
TEST(SamplingFields, SoDoesTheServer) {
  for (const SamplingField& field : sampling_fields()) {
    SCOPED_TRACE(field.name);
    if (field.name == "max_tokens") continue;
    const bool short_range = field.name == "temperature";
    const double high = short_range ? server::ApiLimits{}.max_temperature : field.high;
    expect_taken(by_json, field, field.name == "top_p" ? 1e-9 : field.low);
    expect_taken(by_json, field, high);
    const std::string range = fmt::format(
        "{} from {} to {}", field.is_integer() ? "an integer" : "a number", field.low, high);
    expect_refused(by_json, field, short_range ? std::nextafter(high, 9) : above(field), range);
    if (field.name != "top_p") expect_refused(by_json, field, below(field), range);
  }
}

TEST(SamplingFields, HelpHasThemAll) {
  CLI::App app;
  cli::SamplingOptions options;
  cli::add_sampling_options(app, options);
  const std::string help = app.help();
  for (const SamplingField& field : sampling_fields()) {
    EXPECT_THAT(help, testing::ContainsRegex(cli::option_name(field) + "[ ,]"));
    EXPECT_THAT(app.get_option(cli::option_name(field))->get_description(), field.help);
  }
}

TEST(SamplingFields, DefaultsComeFromTheCheckpointElseFromTheParameters) {
  GenerationDefaults file;
  EXPECT_EQ(with_defaults(file, DoSample::no).temperature, 0);
  EXPECT_EQ(with_defaults(file, DoSample::yes).temperature, 1);
  for (const SamplingField& field : sampling_fields()) {
    if (field.name == "temperature") continue;
    EXPECT_EQ(field.get(with_defaults(file, DoSample::no)), field.get({})) << field.name;
  }
  file = {.do_sample = true,
          .temperature = 0.6,
          .top_p = 0.95,
          .min_p = 0.1,
          .repetition_penalty = 1.05,
          .top_k = 20,
          .eos_token_ids = {}};
  for (const DoSample when_silent : {DoSample::no, DoSample::yes}) {
    const SamplingParams p = with_defaults(file, when_silent);
    EXPECT_EQ(p.temperature, 0.6);
    EXPECT_EQ(p.top_p, 0.95);
    EXPECT_EQ(p.min_p, 0.1);
    EXPECT_EQ(p.repetition_penalty, 1.05);
    EXPECT_EQ(p.top_k, 20);
  }
  file.do_sample = false;
  EXPECT_EQ(with_defaults(file, DoSample::yes).temperature, 0);
}

}  // namespace
}  // namespace qwen3::test
