/* The C API of libqwen3, for C and for the foreign-function interfaces of other languages.
 *
 *   qwen3_model model = NULL;
 *   if (qwen3_model_open("models/nano", NULL, &model) != QWEN3_OK) puts(qwen3_last_error());
 *
 * Results. Every function that can fail returns a qwen3_status. Anything but QWEN3_OK, QWEN3_TIMEOUT and QWEN3_END is
 * an error: nothing was changed, outputs are as they were, and qwen3_last_error() has one line about it.
 *
 * Handles are names of objects, not addresses: a handle that is NULL, closed, of another kind or made up is answered
 * with QWEN3_ERROR_INVALID_HANDLE. Pointers to your own memory cannot be checked like that: only NULL is.
 *
 * Ownership. What ends in _open, _submit, _generate, _forward or _render gives a handle that you close. Closing a model
 * while engines, results or tensors of it are open is fine: the memory goes with the last of them. Texts and arrays
 * that you pass in are copied before the function returns. Pointers that you get belong to a handle, and are valid as
 * long as the function says; they are never freed by you. Lengths do not count the zero byte that ends every text.
 *
 * Threads. Any function may be called from any thread. A stream serves one call at a time: a second one, closing included,
 * gets QWEN3_ERROR_IN_USE and changes nothing; qwen3_stream_cancel alone may come at any time. Views of a handle must not
 * be read while another thread closes it. After fork() the child may open handles of its own; those of its parent get
 * QWEN3_ERROR_INVALID_HANDLE there.
 *
 * Versions. A struct begins with `size`. Its _init function, given sizeof the struct as you compiled it, sets size and
 * defaults; a program made for an older header goes on working with a newer library of the same QWEN3_ABI_VERSION. A struct
 * that was not initialised, or that asks a library for what is newer than it, is QWEN3_ERROR_INVALID_ARGUMENT. */
#ifndef QWEN3_C_H
#define QWEN3_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QWEN3_ABI_VERSION 1

typedef struct qwen3_model_name* qwen3_model;     /* weights, tokenizer and chat template */
typedef struct qwen3_engine_name* qwen3_engine;   /* runs many requests of a model at once */
typedef struct qwen3_stream_name* qwen3_stream;   /* one request in progress */
typedef struct qwen3_results_name* qwen3_results; /* whole answers of several requests */
typedef struct qwen3_chat_name* qwen3_chat;       /* a conversation rendered as a prompt */
typedef struct qwen3_tensors_name*
    qwen3_tensors; /* what one forward pass left: logits and intermediates */

typedef enum qwen3_status {
  QWEN3_OK = 0,
  QWEN3_TIMEOUT = 1, /* nothing came in time; call again */
  QWEN3_END = 2,     /* there is nothing more */
  QWEN3_ERROR_INVALID_ARGUMENT = -1,
  QWEN3_ERROR_NOT_FOUND = -2,
  QWEN3_ERROR_CORRUPT_FILE = -3,
  QWEN3_ERROR_UNSUPPORTED = -4,
  QWEN3_ERROR_OUT_OF_MEMORY = -5,
  QWEN3_ERROR_BUSY = -6, /* the queue is full; the same call may succeed later */
  QWEN3_ERROR_IO = -7,
  QWEN3_ERROR_DEVICE = -8,
  QWEN3_ERROR_INTERNAL = -9, /* a defect of libqwen3 */
  QWEN3_ERROR_INVALID_HANDLE = -10,
  QWEN3_ERROR_IN_USE = -11,          /* another thread is in a call with this handle */
  QWEN3_ERROR_BUFFER_TOO_SMALL = -12 /* the length that is needed was written */
} qwen3_status;

/* "0.1.0"; and the QWEN3_ABI_VERSION that the library was built with. */
const char* qwen3_version(void);
int32_t qwen3_abi_version(void);

/* What the last call of this thread that failed said, "where: what; expected; got; what to do". Never NULL; valid until
 * this thread's next failing call. */
const char* qwen3_last_error(void);

/* "invalid_argument", …; of a number that is no status "unknown". Static. */
const char* qwen3_status_name(int32_t status);

/* ---- Models ---- */

typedef struct qwen3_model_options {
  size_t size;
  const char* backend; /* "auto" (default), "reference", "cpu", "cuda" */
  const char* dtype;   /* "auto" (as stored, default), "float32", "bfloat16" */
  int32_t n_threads;   /* 0: all cores that this process may use */
  int32_t text_only;   /* 1: tokenizer and chat template alone; no weights are read */
  const char*
      hf_overrides; /* a JSON object laid over config.json, as LoadOptions::hf_overrides; "" (default): nothing */
} qwen3_model_options;

/* Names are Hugging Face's. Strings live as long as the model is open. */
typedef struct qwen3_model_info {
  size_t size;
  const char* name;       /* of the directory, or of the GGUF file */
  const char* model_type; /* "qwen3", "qwen3_moe" */
  const char* dtype;
  const char* backend;
  int64_t n_parameters, n_active_parameters;
  int64_t weight_bytes, kv_bytes_per_token;
  int64_t vocab_size; /* rows of the head; ids of n_tokens and above are padding */
  int64_t n_tokens;   /* of the tokenizer; 0: there is none */
  int64_t hidden_size, intermediate_size, num_hidden_layers;
  int64_t num_attention_heads, num_key_value_heads, head_dim;
  int64_t max_position_embeddings, context_length;
  int64_t num_experts, num_experts_per_tok, moe_intermediate_size; /* 0: dense */
  double rms_norm_eps, rope_theta;
  int32_t tie_word_embeddings;
  int32_t has_weights, has_chat_template;
} qwen3_model_info;

void qwen3_model_options_init(qwen3_model_options* options, size_t size);
void qwen3_model_info_init(qwen3_model_info* info, size_t size);

/* `path`: a Hugging Face directory or a GGUF file. `options` may be NULL. */
qwen3_status qwen3_model_open(const char* path,
                              const qwen3_model_options* options,
                              qwen3_model* model);
qwen3_status qwen3_model_close(qwen3_model model);
/* Of a model that was opened text_only, all but name, n_tokens and has_chat_template is 0 and "". */
qwen3_status qwen3_model_get_info(qwen3_model model, qwen3_model_info* info);

/* Text to ids. control_tokens: 1: control tokens that are spelled in the text are recognised; 0: they stay text, as it
 * must be for text of strangers. Writes at most `capacity` ids, and always how many there are to *n_ids: with more than
 * `capacity`, QWEN3_ERROR_BUFFER_TOO_SMALL and no ids. `ids` may be NULL when capacity is 0. The text is UTF-8. */
qwen3_status qwen3_encode(qwen3_model model,
                          const char* text,
                          size_t n_bytes,
                          int32_t control_tokens,
                          int32_t* ids,
                          size_t capacity,
                          size_t* n_ids);
/* Ids to UTF-8, by the same rule; the zero byte that ends the text needs a place, too, and is not counted. */
qwen3_status qwen3_decode(qwen3_model model,
                          const int32_t* ids,
                          size_t n_ids,
                          char* text,
                          size_t capacity,
                          size_t* n_bytes);
/* The tokens that end an answer. Same rule as qwen3_encode. */
qwen3_status qwen3_end_tokens(qwen3_model model, int32_t* ids, size_t capacity, size_t* n_ids);

typedef struct qwen3_chat_options {
  size_t size;
  const char* tools;              /* a JSON array of tool schemas; NULL: none */
  const char* template_kwargs;    /* a JSON object of further variables; NULL: none */
  int32_t thinking;               /* 1, 0; -1: the template's own default */
  int32_t add_generation_prompt;  /* 1 by default */
  int32_t continue_final_message; /* excludes add_generation_prompt */
} qwen3_chat_options;

/* How a prompt leaves the answer (qwen3_request.prompt_state). */
typedef enum qwen3_prompt_state {
  QWEN3_PROMPT_PLAIN = 0,
  QWEN3_PROMPT_INSIDE_THINKING = 1,
  QWEN3_PROMPT_THINKING_IS_OVER = 2
} qwen3_prompt_state;

/* Valid as long as the chat is open. */
typedef struct qwen3_chat_view {
  size_t size;
  const int32_t* ids;
  size_t n_ids;
  const char* prompt; /* the text that the ids stand for */
  size_t n_prompt_bytes;
  int32_t state; /* qwen3_prompt_state */
} qwen3_chat_view;

void qwen3_chat_options_init(qwen3_chat_options* options, size_t size);
void qwen3_chat_view_init(qwen3_chat_view* view, size_t size);

/* `messages`: OpenAI's, a JSON array. Control tokens in them stay text. `options` may be NULL. */
qwen3_status qwen3_chat_render(qwen3_model model,
                               const char* messages,
                               size_t n_bytes,
                               const qwen3_chat_options* options,
                               qwen3_chat* chat);
qwen3_status qwen3_chat_get(qwen3_chat chat, qwen3_chat_view* view);
qwen3_status qwen3_chat_close(qwen3_chat chat);

/* ---- Requests ---- */

/* What each number means, its range and the order of application: qwen3/sampling.h, qwen3/request.h. */
typedef struct qwen3_sampling {
  size_t size;
  double temperature; /* 0 (default): greedy */
  int64_t top_k;      /* 0: off */
  double top_p, min_p;
  double presence_penalty, frequency_penalty, repetition_penalty;
  int64_t max_tokens; /* -1 (default): until the context is full */
  int64_t min_tokens;
  uint64_t seed;
  int32_t has_seed; /* 0: a fresh seed */
  int32_t ignore_eos;
  int32_t n_logprobs;            /* -1: none; else the token's and those of the n best (<= 20) */
  const int32_t* logit_bias_ids; /* with as many values */
  const double* logit_bias_values;
  size_t n_logit_bias;
  const int32_t* allowed_token_ids; /* not empty: nothing else is sampled */
  size_t n_allowed_token_ids;
  const int32_t* stop_token_ids;
  size_t n_stop_token_ids;
} qwen3_sampling;

typedef enum qwen3_format {
  QWEN3_FORMAT_ANY = 0,
  QWEN3_FORMAT_JSON_OBJECT = 1, /* any JSON object; format_text is not read */
  QWEN3_FORMAT_JSON_SCHEMA = 2,
  QWEN3_FORMAT_REGEX = 3, /* matches the whole answer */
  QWEN3_FORMAT_GBNF = 4,  /* llama.cpp's grammars */
  QWEN3_FORMAT_CHOICE = 5 /* a JSON array of texts */
} qwen3_format;

typedef struct qwen3_request {
  size_t size;
  const int32_t* prompt_ids; /* at least one */
  size_t n_prompt_ids;
  const qwen3_sampling* sampling; /* NULL: its defaults */
  int32_t prompt_state;           /* of the chat that was rendered */
  int32_t split_reasoning; /* 1: events part thoughts from the answer; 0 (default): all is text */
  int32_t skip_special_tokens; /* 1 by default */
  int32_t include_stop;        /* 1: the stop string stays in the text */
  const char* const* stop;     /* the answer ends before the first of these */
  size_t n_stop;
  int32_t format; /* qwen3_format: what the answer must be; a thought before it is free */
  int32_t embed;  /* 1: no answer, but the final hidden state of the last prompt token */
  int32_t
      n_prompt_logprobs; /* -1: none; else of every prompt token, with the n likeliest (<= 20) */
  int32_t priority;      /* lower goes first */
  const char* format_text;
  int64_t timeout_ms;     /* the request ends with QWEN3_FINISH_TIMEOUT after; -1: never */
  const char* cache_salt; /* prompts share cached prefixes under the same salt only; NULL: "" */
} qwen3_request;

typedef enum qwen3_finish {
  QWEN3_FINISH_NONE = -1,
  QWEN3_FINISH_STOP = 0,
  QWEN3_FINISH_LENGTH = 1,
  QWEN3_FINISH_CANCELLED = 2,
  QWEN3_FINISH_TIMEOUT = 3,
  QWEN3_FINISH_ERROR = 4
} qwen3_finish;

typedef struct qwen3_token_logprob {
  int32_t token_id;
  float logprob; /* natural, before temperature and filters */
} qwen3_token_logprob;

/* Of one prompt token; the first has none: n_top is 0 and has_token is 0. */
typedef struct qwen3_prompt_logprobs {
  qwen3_token_logprob token;
  int64_t rank; /* of the token among all, from 1 */
  const qwen3_token_logprob* top;
  size_t n_top;
  int32_t has_token;
  int32_t reserved;
} qwen3_prompt_logprobs;

typedef struct qwen3_usage {
  int64_t prompt_tokens, cached_tokens, completion_tokens;
  double queue_seconds, prefill_seconds, decode_seconds;
} qwen3_usage;

/* One step of a request. Pointers are valid until the next call with the stream. */
typedef struct qwen3_event {
  size_t size;
  int32_t token_id;     /* -1: there is none */
  int32_t is_end_token; /* not for display */
  int32_t finish;       /* qwen3_finish; exactly one event of a stream has one, its last */
  int32_t matched_stop; /* which stop string ended it; -1 */
  int32_t error_status; /* with QWEN3_FINISH_ERROR */
  int32_t has_logprob;
  float logprob;
  int32_t reserved;
  const char* text; /* what became certain of the answer: whole characters, perhaps none */
  size_t n_text_bytes;
  const char* reasoning; /* the same of the thought, with split_reasoning */
  size_t n_reasoning_bytes;
  const char* error; /* with QWEN3_FINISH_ERROR, else "" */
  const qwen3_token_logprob* top_logprobs;
  size_t n_top_logprobs;
  const qwen3_prompt_logprobs* prompt_logprobs; /* on the first event */
  size_t n_prompt_logprobs;
  const float* embedding; /* [hidden_size] */
  size_t n_embedding;
  qwen3_usage usage; /* complete with `finish` */
} qwen3_event;

/* A whole answer. Pointers are valid as long as the results are open. */
typedef struct qwen3_result {
  size_t size;
  const int32_t* ids; /* [n_ids], end token included */
  size_t n_ids;
  const qwen3_token_logprob* logprobs;     /* [n_ids], where n_logprobs asked; else NULL */
  const qwen3_token_logprob* top_logprobs; /* [n_ids, n_top_logprobs], the best first */
  size_t n_top_logprobs;
  const qwen3_prompt_logprobs* prompt_logprobs;
  size_t n_prompt_logprobs;
  const char* text;
  size_t n_text_bytes;
  const char* reasoning;
  size_t n_reasoning_bytes;
  const char* error; /* with QWEN3_FINISH_ERROR, else "" */
  const float* embedding;
  size_t n_embedding;
  int32_t finish; /* qwen3_finish */
  int32_t matched_stop;
  int32_t error_status;
  int32_t reserved;
  qwen3_usage usage;
} qwen3_result;

void qwen3_sampling_init(qwen3_sampling* sampling, size_t size);
void qwen3_request_init(qwen3_request* request, size_t size);
void qwen3_event_init(qwen3_event* event, size_t size);
void qwen3_result_init(qwen3_result* result, size_t size);

/* What the model's generation_config.json asks for; draw_when_silent: 1: where it does not say, tokens are drawn. */
qwen3_status qwen3_model_sampling(qwen3_model model,
                                  int32_t draw_when_silent,
                                  qwen3_sampling* sampling);

typedef struct qwen3_engine_options {
  size_t size;
  int64_t max_model_len;    /* longest sequence; 0: what the model allows, or what fits */
  int64_t kv_cache_bytes;   /* 0: by the free memory */
  const char* kv_dtype;     /* "auto", "float32", "bfloat16" */
  int64_t max_batch_tokens; /* rows of a step; 0: 512, on cards 2048 */
  int64_t max_sequences, max_waiting;
  int32_t prefix_cache; /* 1 by default */
} qwen3_engine_options;

typedef struct qwen3_engine_stats {
  size_t size;
  int64_t n_running, n_waiting;
  int64_t n_blocks, n_free_blocks;
  int64_t n_steps, n_preemptions;
  int64_t prompt_tokens, cached_tokens, generated_tokens;
  int64_t max_model_len;
} qwen3_engine_stats;

void qwen3_engine_options_init(qwen3_engine_options* options, size_t size);
void qwen3_engine_stats_init(qwen3_engine_stats* stats, size_t size);

/* Starts the engine's thread. `options` may be NULL. */
qwen3_status qwen3_engine_open(qwen3_model model,
                               const qwen3_engine_options* options,
                               qwen3_engine* engine);
/* Cancels what is running; its streams end with QWEN3_FINISH_CANCELLED. */
qwen3_status qwen3_engine_close(qwen3_engine engine);
qwen3_status qwen3_engine_get_stats(qwen3_engine engine, qwen3_engine_stats* stats);

/* Begins a request. QWEN3_ERROR_BUSY when max_waiting requests wait. */
qwen3_status qwen3_submit(qwen3_engine engine, const qwen3_request* request, qwen3_stream* stream);
/* The next event. Waits at most timeout_ms, -1: for ever, and then says QWEN3_TIMEOUT; after the last, QWEN3_END. */
qwen3_status qwen3_stream_next(qwen3_stream stream, int64_t timeout_ms, qwen3_event* event);
/* Ends the request within one step; the finishing event still comes. From any thread, at any time. */
qwen3_status qwen3_stream_cancel(qwen3_stream stream);
qwen3_status qwen3_stream_close(qwen3_stream stream);

/* Called on the thread that called qwen3_stream_run. Not 0: the request is cancelled, and its last event still comes. */
typedef int32_t (*qwen3_on_event)(const qwen3_event* event, void* user);
/* qwen3_stream_next until the last event, each given to `on_event`. Other calls with this stream, but
 * qwen3_stream_cancel, get QWEN3_ERROR_IN_USE meanwhile. */
qwen3_status qwen3_stream_run(qwen3_stream stream, qwen3_on_event on_event, void* user);

/* Called on the thread that called qwen3_generate, several times a second. Not 0: all is cancelled. */
typedef int32_t (*qwen3_on_progress)(size_t n_done, size_t n_requests, void* user);
/* Runs all requests together, however long the queue, and waits for all of them: at most timeout_ms, -1: for ever, and
 * as long as on_progress (or NULL) agrees. Then all are cancelled, there are no results, and it is QWEN3_TIMEOUT or
 * QWEN3_END. A request that fails while it runs is a result with QWEN3_FINISH_ERROR; one that is refused fails the call. */
qwen3_status qwen3_generate(qwen3_engine engine,
                            const qwen3_request* const* requests,
                            size_t n_requests,
                            int64_t timeout_ms,
                            qwen3_on_progress on_progress,
                            void* user,
                            qwen3_results* results);
qwen3_status qwen3_results_count(qwen3_results results, size_t* count);
qwen3_status qwen3_results_get(qwen3_results results, size_t index, qwen3_result* result);
qwen3_status qwen3_results_close(qwen3_results results);

/* ---- Numbers ---- */

typedef enum qwen3_dtype {
  QWEN3_FLOAT32 = 0,
  QWEN3_BFLOAT16 = 1,
  QWEN3_FLOAT16 = 2,
  QWEN3_INT32 = 3
} qwen3_dtype;

/* Dense, the last dimension contiguous. Valid, data included, as long as the tensors are open. */
typedef struct qwen3_tensor {
  size_t size;
  const char* name; /* docs/model.md has them all */
  const void* data;
  size_t n_bytes;
  int32_t dtype; /* qwen3_dtype */
  int32_t rank;  /* 0 to 4 */
  int64_t shape[4];
} qwen3_tensor;

typedef struct qwen3_forward_options {
  size_t size;
  const char* const*
      taps; /* patterns of names ("layers.*.output", "norm"); of none: no intermediates */
  size_t n_taps;
  int64_t first_row; /* logits from this position on; REQUIRES 0 with taps */
  int32_t logits;    /* 1 (default): a tensor "logits" [n_ids - first_row, vocab_size], float32 */
} qwen3_forward_options;

void qwen3_tensor_init(qwen3_tensor* tensor, size_t size);
void qwen3_forward_options_init(qwen3_forward_options* options, size_t size);

/* One forward pass over the ids, beside whatever engines run. A pattern that names nothing of this model is
 * QWEN3_ERROR_INVALID_ARGUMENT. `options` may be NULL. */
qwen3_status qwen3_forward(qwen3_model model,
                           const int32_t* ids,
                           size_t n_ids,
                           const qwen3_forward_options* options,
                           qwen3_tensors* tensors);
qwen3_status qwen3_tensors_count(qwen3_tensors tensors, size_t* count);
qwen3_status qwen3_tensors_get(qwen3_tensors tensors, size_t index, qwen3_tensor* tensor);
/* By name; QWEN3_ERROR_NOT_FOUND when the pass left none of it. */
qwen3_status qwen3_tensors_find(qwen3_tensors tensors, const char* name, qwen3_tensor* tensor);
qwen3_status qwen3_tensors_close(qwen3_tensors tensors);

#ifdef __cplusplus
}
#endif

#endif
