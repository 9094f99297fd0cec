// The environment variables of the public hub clients, with their meaning.
#pragma once

#include "hub/cache.h"
#include "hub/listing.h"

namespace qwen3::cli {

// HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. A variable that
// is empty counts as none. Throws Error{not_found} where there is no home.
hub::Cache hub_cache();

// HF_ENDPOINT and the token of HF_TOKEN or of the file that HF_TOKEN_PATH names (HF_HOME/token; what `hf auth login`
// writes); for ModelScope MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN. HF_HUB_DOWNLOAD_TIMEOUT in seconds.
// Throws Error{invalid_argument}; never with a token in its text.
hub::HubServer hub_server(hub::Source source);

bool hub_is_offline();             // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is 1, on, yes or true
bool hub_progress_is_unwelcome();  // HF_HUB_DISABLE_PROGRESS_BARS is

}  // namespace qwen3::cli
