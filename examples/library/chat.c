/* The same in C: chat_c MODEL MESSAGES. */
#include <qwen3/c.h>
#include <stdio.h>
#include <string.h>

static int32_t print_event(const qwen3_event* event, void* user) {
  (void)user;
  fwrite(event->reasoning, 1, event->n_reasoning_bytes, stdout);
  fwrite(event->text, 1, event->n_text_bytes, stdout);
  if (event->finish == QWEN3_FINISH_ERROR) fprintf(stderr, "%s\n", event->error);
  return ferror(stdout); /* nobody reads: the request is cancelled */
}

static qwen3_status answer(qwen3_engine engine, qwen3_chat chat) {
  qwen3_chat_view prompt;
  qwen3_sampling sampling;
  qwen3_request request;
  qwen3_stream stream = NULL;
  qwen3_status status;

  qwen3_chat_view_init(&prompt, sizeof prompt);
  qwen3_sampling_init(&sampling, sizeof sampling);
  qwen3_request_init(&request, sizeof request);
  if ((status = qwen3_chat_get(chat, &prompt)) != QWEN3_OK) return status;
  sampling.max_tokens = 256;
  request.sampling = &sampling;
  request.prompt_ids = prompt.ids;
  request.n_prompt_ids = prompt.n_ids;
  request.prompt_state = prompt.state;
  if ((status = qwen3_submit(engine, &request, &stream)) != QWEN3_OK) return status;
  status = qwen3_stream_run(stream, print_event, NULL);
  printf("\n");
  qwen3_stream_close(stream);
  return status;
}

int main(int argc, char** argv) {
  qwen3_model model = NULL;
  qwen3_engine engine = NULL;
  qwen3_chat chat = NULL;
  qwen3_status status;

  if (argc != 3) {
    fprintf(stderr, "usage: chat_c MODEL MESSAGES\n");
    return 2;
  }
  status = qwen3_model_open(argv[1], NULL, &model);
  if (status == QWEN3_OK) status = qwen3_chat_render(model, argv[2], strlen(argv[2]), NULL, &chat);
  if (status == QWEN3_OK) status = qwen3_engine_open(model, NULL, &engine);
  if (status == QWEN3_OK) status = answer(engine, chat);
  if (status != QWEN3_OK) fprintf(stderr, "%s\n", qwen3_last_error());
  if (chat != NULL) qwen3_chat_close(chat);
  if (engine != NULL) qwen3_engine_close(engine);
  if (model != NULL) qwen3_model_close(model);
  return status == QWEN3_OK ? 0 : 1;
}
