// What a user lays over config.json (LoadOptions::hf_overrides): a JSON object, merged key by key, as vLLM's
// --hf-overrides is. A null takes a key away (RFC 7396).
//
//   config.json   {"rope_theta": 1e6, "rope_scaling": null, "max_position_embeddings": 40960}
//   overrides     {"rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 32768}}
//
// Keys with two spellings (torch_dtype and dtype, rope_scaling and rope_parameters, …) are one key: the overrides may
// say either, whatever config.json says.
#pragma once

#include <string_view>

#include "base/json.h"
#include "formats/json_fields.h"

namespace qwen3 {

// Throws Error{invalid_argument} unless `text` is a JSON object that says no key in both its spellings.
Json parse_config_overrides(std::string_view text);

// `more` laid over `overrides`, objects key by key; nulls stay, since they are for the config.
void add_overrides(Json& overrides, const Json& more);

// Lays them over a config, which stays as it is when it is no object: reading it says so. The overrides get the
// config's spelling of their keys.
void override_config(Json& config, Json& overrides);

// Throws Error{invalid_argument} naming a key that reading this config did not ask for: it would change nothing.
void check_overrides_are_read(const Json& overrides, const FieldLog& read, std::string_view where);

}  // namespace qwen3
