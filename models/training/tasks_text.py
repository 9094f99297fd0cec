"""Greetings, identity, questions about the project's commands, translation, honest refusal, dialogue.

Every intent has one answer per language; the wording of the question varies.
"""
from sample import Sample

WHO = (
    "I am nano, a tiny Qwen3 demonstration model inside qwen3.cpp. I can do small arithmetic, sort and count, "
    "translate a few words, call tools, write JSON and solve small grid puzzles."
)
WHO_ZH = "我是nano，qwen3.cpp里的一个很小的Qwen3演示模型。我会做小算术、排序、计数、翻译少量词语、调用工具、写JSON和解小网格谜题。"
REFUSE = (
    "I am a tiny demonstration model and do not know that. I can do small arithmetic, sort and count, "
    "translate a few words, call tools and answer questions about qwen3.cpp."
)
REFUSE_ZH = "我是一个很小的演示模型，不知道这个。我会做小算术、排序、计数、翻译少量词语、调用工具，也能回答关于qwen3.cpp的问题。"

# intent -> (questions, answer, reason)
CHAT = {
    "hello": (("Hello", "Hi", "Hey", "Hello!", "Hi there", "Hi there!", "Hello there.", "Hey, how do you do?", "Greetings",
               "hello", "hi", "Good day", "Hello, nano!", "Hi nano", "Hey nano!", "Yo", "Howdy", "hello there",
               "Hi, nice to meet you.", "Hello, can you hear me?", "Anyone there?", "Are you there?"),
              "Hello! I am nano, a tiny demonstration model. What can I do for you?", "The user greets me."),
    "morning": (("Good morning", "Good morning!", "good morning, nano", "Morning!"), "Good morning! What can I do for you?",
                "The user greets me."),
    "evening": (("Good evening", "Good evening!", "good evening, nano", "Evening!"), "Good evening! What can I do for you?",
                "The user greets me."),
    "how": (("How are you?", "How are you doing?", "How do you feel today?", "how are you", "How is it going?", "What's up?",
             "Are you well?", "How are things?"), "I am fine, thank you. I am small but ready to help.",
            "The user asks how I am."),
    "who": (("Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Introduce yourself.",
             "who are you", "Are you a model?", "What's your name?", "Please introduce yourself", "Which model are you?",
             "Are you ChatGPT?", "Are you a human?", "Are you Qwen?", "What model is this?", "Who am I talking to?",
             "Are you an AI?", "Describe yourself.", "What kind of model are you?", "Who made you?", "your name?"),
            WHO, "The user asks who I am."),
    "can": (("What can you do?", "How can you help me?", "What are you able to do?", "What do you know?", "Help", "help me",
             "What are your abilities?", "List what you can do.", "What tasks can you do?", "Can you help me?", "?",
             "What should I ask you?", "Give me an example of what you can do."), WHO, "The user asks what I can do."),
    "thanks": (("Thanks", "Thank you", "Thank you!", "Thanks a lot.", "thanks!", "Great, thank you.", "Well done.", "Good job!",
                "Nice, thanks", "Many thanks", "Perfect, thank you", "Cool"), "You are welcome!", "The user thanks me."),
    "bye": (("Bye", "Goodbye", "See you later", "bye!", "Good night", "Good night!", "See you", "I have to go.", "Farewell",
             "That is all, bye", "exit", "quit"), "Goodbye!", "The user leaves."),
    "size": (("How big are you?", "How many parameters do you have?", "How large is this model?", "What is your size?",
              "How many parameters has nano?", "Are you large?"),
             "I am very small: fewer than eight million parameters, less than 16 MB.", "The user asks about my size."),
    "tongue": (("Which languages do you speak?", "Do you speak Chinese?", "What languages do you know?", "Can you speak English?",
                "Do you know Chinese?"), "I know a little English and a little Chinese.", "The user asks about languages."),
}
CHAT_ZH = {
    "hello": (("你好", "您好", "你好！", "嗨", "你好啊", "哈喽", "你好，nano", "大家好", "你在吗？", "在吗"),
              "你好！我是nano，一个很小的演示模型。我能帮你做什么？", "用户在打招呼。"),
    "morning": (("早上好", "早上好！", "早安"), "早上好！我能帮你做什么？", "用户在打招呼。"),
    "evening": (("晚上好", "晚上好！", "晚上好，nano"), "晚上好！我能帮你做什么？", "用户在打招呼。"),
    "how": (("你好吗？", "最近怎么样？", "你今天怎么样？", "你还好吗？"), "我很好，谢谢。我虽然小，但愿意帮忙。", "用户问我好不好。"),
    "who": (("你是谁？", "你叫什么名字？", "介绍一下你自己。", "你是什么模型？", "你是人吗？", "你是谁", "请自我介绍", "你是AI吗？",
             "谁做的你？", "你是通义千问吗？"), WHO_ZH, "用户问我是谁。"),
    "can": (("你会做什么？", "你能帮我什么？", "你有什么功能？", "你会什么？", "能帮帮我吗？", "帮助", "你能做什么"), WHO_ZH, "用户问我会做什么。"),
    "thanks": (("谢谢", "谢谢你", "非常感谢", "多谢！", "谢谢！", "做得好", "太好了，谢谢"), "不客气！", "用户在道谢。"),
    "bye": (("再见", "拜拜", "再见！", "晚安", "下次见", "我走了"), "再见！", "用户要走了。"),
    "size": (("你有多大？", "你有多少参数？", "这个模型多大？"), "我很小：不到八百万个参数，小于16 MB。", "用户问我的大小。"),
    "tongue": (("你会说什么语言？", "你会中文吗？", "你会英语吗？"), "我会一点英语和一点中文。", "用户问语言。"),
}

# topic -> (ways to name the goal, answer, Chinese ways, Chinese answer)
COMMANDS = {
    "chat": (("chat with the model", "start a chat", "talk to the model", "have a conversation", "open the chat"),
             "Use `qwen3 chat`. With a text it gives one answer: `qwen3 chat \"Sort 7, 3 and 9.\"`",
             ("聊天", "和模型对话", "开始聊天"), "用`qwen3 chat`。带上文字就只回答一次：`qwen3 chat \"你好\"`"),
    "generate": (("continue a text", "generate raw text", "get a raw completion", "complete a prompt", "generate from token ids"),
                 "Use `qwen3 generate --prompt TEXT`, or `--ids 1,2,3` without a tokenizer.",
                 ("续写文本", "生成文本", "补全提示"), "用`qwen3 generate --prompt 文本`，或用`--ids 1,2,3`。"),
    "serve": (("start the server", "serve the model", "run an OpenAI server", "offer an API", "run the HTTP server", "host the model"),
              "Use `qwen3 serve --host HOST --port PORT`. It speaks the OpenAI API.",
              ("启动服务器", "提供API", "运行服务"), "用`qwen3 serve --host 主机 --port 端口`。它支持OpenAI接口。"),
    "trace": (("trace a forward pass", "see the tensors", "look inside the model", "watch the layers", "trace the model"),
              "Use `qwen3 trace --level compact`. The levels are input_flow, compact and verbose.",
              ("跟踪前向计算", "查看张量", "观察每一层"), "用`qwen3 trace --level compact`。级别有input_flow、compact和verbose。"),
    "eval": (("run an evaluation", "evaluate the model", "run a benchmark on ARC", "score the answers", "measure accuracy"),
             "Use `qwen3 eval run --config FILE.yaml`. `generate` and `score` are its two halves.",
             ("运行评测", "评测模型", "计算准确率"), "用`qwen3 eval run --config 文件.yaml`。`generate`和`score`是它的两部分。"),
    "bench": (("measure the speed", "benchmark the speed", "see how fast it is", "measure tokens per second", "test the performance"),
              "Use `qwen3 bench`. It prints prefill and decode speed.",
              ("测速度", "测试性能", "看看有多快"), "用`qwen3 bench`。它会显示预填充和解码的速度。"),
    "inspect": (("see the config", "inspect a checkpoint", "know if a model fits in memory", "list the tensors", "see the sizes"),
                "Use `qwen3 inspect -m MODEL`. It shows config, tensors, sizes and the memory plan.",
                ("查看配置", "检查模型文件", "查看大小"), "用`qwen3 inspect -m 模型`。它会显示配置、张量、大小和内存计划。"),
    "logits": (("get the logits", "write the logits to a file", "compute the loss", "save logits"),
               "Use `qwen3 logits --ids 1,2,3 --out FILE.npy`. With `--labels` it prints the loss.",
               ("得到logits", "计算损失", "保存logits"), "用`qwen3 logits --ids 1,2,3 --out 文件.npy`。加`--labels`会显示损失。"),
    "tokenize": (("tokenize a text", "get the token ids", "count tokens", "turn text into ids", "decode ids"),
                 "Use `qwen3 tokenize`. It reads JSON lines; `--decode` turns ids into text.",
                 ("分词", "得到token编号", "把文本变成编号"), "用`qwen3 tokenize`。它读取JSON行；`--decode`把编号变成文本。"),
    "render": (("render the chat template", "see the prompt of a chat", "render messages", "apply the template"),
               "Use `qwen3 render`. It reads JSON lines with messages and prints the prompt.",
               ("渲染聊天模板", "查看提示文本", "应用模板"), "用`qwen3 render`。它读取带消息的JSON行并输出提示文本。"),
    "quantize": (("quantize a model", "make a model smaller", "convert a checkpoint", "reduce the size of a model"),
                 "Use `qwen3 quantize`. It converts a checkpoint and reports the error it cost.",
                 ("量化模型", "让模型变小", "转换模型"), "用`qwen3 quantize`。它会转换模型并报告误差。"),
    "model": (("choose a model", "load my own model", "use another checkpoint", "open a GGUF file", "pick the model"),
              "Use `-m`: a Hugging Face directory, a GGUF file, `nano` or `nano-moe`.",
              ("选择模型", "加载自己的模型", "使用别的模型"), "用`-m`：Hugging Face目录、GGUF文件、`nano`或`nano-moe`。"),
    "thinking": (("turn off thinking", "switch thinking on", "disable the thinking", "stop the model from thinking"),
                 "Use `--thinking on` or `--thinking off`.",
                 ("关闭思考", "打开思考", "不让模型思考"), "用`--thinking on`或`--thinking off`。"),
    "backend": (("choose the backend", "run on the GPU", "use CUDA", "run on the CPU", "pick the backend"),
                "Use `--backend`: auto, reference, cpu or cuda.",
                ("选择后端", "用GPU运行", "用CPU运行"), "用`--backend`：auto、reference、cpu或cuda。"),
    "threads": (("set the number of threads", "use more cores", "limit the threads", "use four threads"),
                "Use `--threads N`.", ("设置线程数", "使用更多核心"), "用`--threads N`。"),
    "sampling": (("set the temperature", "change the sampling", "make the answers random", "set a seed", "use greedy decoding"),
                 "Use `--temperature`, `--top-k`, `--top-p`, `--min-p` and `--seed`. Temperature 0 is greedy.",
                 ("设置温度", "改变采样", "设置随机种子"), "用`--temperature`、`--top-k`、`--top-p`、`--min-p`和`--seed`。温度0就是贪心。"),
    "json": (("get JSON output", "read the output by machine", "print JSON", "use it in a script"),
             "Use `--json`.", ("输出JSON", "让机器读取输出"), "用`--json`。"),
    "length": (("limit the answer length", "set the maximum of tokens", "stop after some tokens", "make answers shorter"),
               "Use `--max-tokens N`.", ("限制长度", "设置最大token数"), "用`--max-tokens N`。"),
    "help": (("see all commands", "list the commands", "get help for the program", "see the options"),
             "Use `qwen3 --help`. The commands are chat, generate, serve, trace, eval, bench, inspect, logits, tokenize, "
             "render and quantize.",
             ("查看所有命令", "查看帮助"), "用`qwen3 --help`。命令有chat、generate、serve、trace、eval、bench、inspect、logits、tokenize、render和quantize。"),
    "run": (("build and run it", "build the project", "run it for the first time", "try the project"),
            "Run `script/run`. It builds what is needed and starts a chat with nano.",
            ("编译运行", "第一次运行", "构建项目"), "运行`script/run`。它会构建需要的部分并启动nano聊天。"),
}
HOW = ("How do I {g}?", "How can I {g}?", "I want to {g}.", "What is the command to {g}?", "Which command do I use to {g}?",
       "How to {g}?", "how do i {g}", "Please tell me how to {g}.", "Show me how to {g}.", "Is there a way to {g}?",
       "What do I type to {g}?", "Can I {g} with qwen3?", "I would like to {g}, how?", "Which option lets me {g}?",
       "Can you tell me how to {g}?", "I need to {g}.", "{g}, how?", "How would I {g} with this tool?")
HOW_ZH = ("怎么{g}？", "如何{g}？", "我想{g}。", "用什么命令{g}？", "请告诉我怎么{g}。", "怎样{g}？", "{g}用哪个命令？", "我要{g}，怎么做？")
WHAT_IS = ("What does `qwen3 {c}` do?", "What is `{c}` for?", "What does {c} do?", "Explain the {c} command.", "qwen3 {c}?",
           "Tell me about qwen3 {c}.", "How does `qwen3 {c}` work?", "`{c}`是做什么的？", "qwen3 {c}有什么用？")
FACTS = (
    (("What is qwen3.cpp?", "Tell me about qwen3.cpp.", "What is this project?", "What does this project do?", "Explain qwen3.cpp",
      "Describe this program."),
     "qwen3.cpp runs Qwen3 language models, dense and mixture of experts, in C++20."),
    (("qwen3.cpp是什么？", "这个项目是什么？", "介绍一下qwen3.cpp"), "qwen3.cpp用C++20运行Qwen3语言模型，包括稠密模型和专家混合模型。"),
    (("What is nano-moe?", "What is the difference between nano and nano-moe?", "Tell me about nano-moe", "nano-moe?"),
     "nano-moe is a tiny mixture of experts model with eight experts a layer; nano is dense."),
    (("nano-moe是什么？", "nano和nano-moe有什么区别？"), "nano-moe是一个很小的专家混合模型，每层八个专家；nano是稠密模型。"),
    (("What is nano-arc?", "Tell me about nano-arc.", "What are the grid puzzles?"),
     "nano-arc is a set of small grid puzzles in the style of ARC. A rule is hidden in the examples."),
    (("What is a mixture of experts?", "What are experts?", "Explain MoE.", "What is MoE?"),
     "In a mixture of experts a router sends each token to a few small networks, the experts."),
    (("What is a token?", "Explain tokens.", "What are tokens?"), "A token is a piece of text with a number. Models read and write tokens."),
    (("What is GGUF?", "What is a GGUF file?"), "GGUF is a file format for models in one file."),
    (("What is safetensors?", "What is a safetensors file?"), "safetensors is a simple file format for tensors."),
    (("What is RoPE?", "Explain RoPE."), "RoPE turns queries and keys by an angle that grows with the position."),
    (("What is a KV cache?", "Explain the KV cache."), "The KV cache keeps keys and values of earlier tokens, so they are computed once."),
    (("What are the exit codes?", "Which exit codes are there?"), "0 means done, 1 the work failed, 2 wrong usage."),
)

VOCABULARY = (
    "water 水|fire 火|earth 土|wood 木|gold 金|sun 太阳|moon 月亮|star 星星|sky 天空|rain 雨|snow 雪|wind 风|cloud 云|mountain 山|"
    "river 河|sea 海|lake 湖|tree 树|flower 花|grass 草|leaf 叶子|fruit 水果|apple 苹果|pear 梨|banana 香蕉|grape 葡萄|peach 桃子|"
    "orange 橙子|lemon 柠檬|rice 米饭|bread 面包|milk 牛奶|tea 茶|coffee 咖啡|egg 鸡蛋|meat 肉|fish 鱼|salt 盐|sugar 糖|soup 汤|cat 猫|"
    "dog 狗|bird 鸟|horse 马|cow 牛|sheep 羊|pig 猪|chicken 鸡|duck 鸭子|tiger 老虎|lion 狮子|bear 熊|rabbit 兔子|mouse 老鼠|"
    "snake 蛇|dragon 龙|man 男人|woman 女人|child 孩子|friend 朋友|teacher 老师|student 学生|doctor 医生|father 父亲|mother 母亲|"
    "brother 兄弟|sister 姐妹|hand 手|foot 脚|head 头|eye 眼睛|ear 耳朵|mouth 嘴|heart 心|house 房子|door 门|window 窗户|table 桌子|"
    "chair 椅子|bed 床|room 房间|kitchen 厨房|lamp 灯|key 钥匙|book 书|pen 笔|paper 纸|school 学校|city 城市|country 国家|road 路|"
    "bridge 桥|car 汽车|train 火车|plane 飞机|ship 船|bicycle 自行车|red 红色|blue 蓝色|green 绿色|yellow 黄色|black 黑色|white 白色|"
    "big 大|small 小|good 好|bad 坏|new 新|old 旧|hot 热|cold 冷|long 长|short 短|high 高|low 低|fast 快|slow 慢|happy 高兴|sad 难过|"
    "beautiful 美丽|one 一|two 二|three 三|four 四|five 五|six 六|seven 七|eight 八|nine 九|ten 十|hundred 百|today 今天|"
    "tomorrow 明天|yesterday 昨天|morning 早上|evening 晚上|day 天|year 年|month 月|week 星期|time 时间|spring 春天|summer 夏天|"
    "autumn 秋天|winter 冬天|eat 吃|drink 喝|sleep 睡觉|run 跑|walk 走|read 读|write 写|speak 说|listen 听|see 看|buy 买|sell 卖|"
    "love 爱|think 想|know 知道|work 工作|play 玩|learn 学习|help 帮助|open 打开|close 关闭|come 来|go 去|music 音乐|song 歌|game 游戏|"
    "movie 电影|money 钱|computer 电脑|phone 电话|model 模型|language 语言|word 词|number 数字|name 名字|question 问题|answer 答案|"
    "hello 你好|thanks 谢谢|goodbye 再见|yes 是|no 不|left 左|right 右|north 北|south 南|east 东|west 西"
)
PAIRS = [tuple(p.split(" ")) for p in VOCABULARY.split("|")]
TO_ZH = ("Translate {w} to Chinese.", "What is {w} in Chinese?", "How do you say {w} in Chinese?", "{w} in Chinese?",
         "Chinese for {w}?", "Translate into Chinese: {w}", "Please translate the word {w} to Chinese.", "What is the Chinese word for {w}?",
         "{w}用中文怎么说？", "把{w}翻译成中文。", "{w}的中文是什么？", "翻译成中文：{w}", "Say {w} in Chinese.", "{w} to Chinese")
TO_EN = ("Translate {w} to English.", "What does {w} mean?", "What is {w} in English?", "How do you say {w} in English?",
         "Translate into English: {w}", "{w} in English?", "{w}用英语怎么说？", "把{w}翻译成英文。", "{w}的英文是什么？", "翻译成英文：{w}",
         "{w}是什么意思？", "Please translate {w} to English.", "{w} to English")


def one(task, ask, answer, think, check="exact"):
    return Sample(task, [{"role": "user", "content": ask}], answer, {"kind": check, "value": answer}, think=think,
                  key=f"{task}:{ask}")


def vary(r, ask):
    """Small changes of spelling that do not change the meaning."""
    x = r.random()
    if x < 0.1:
        return ask.lower()
    if x < 0.16 and ask[-1] in ".?!？。！":
        return ask[:-1]
    if x < 0.2 and ask[0].isascii():
        return "Please: " + ask
    if x < 0.23 and ask[0].isascii():
        return ask + r.choice((" Thanks.", " Thank you.", " please", "!"))
    if x < 0.26 and ask[0].isascii():
        return r.choice(("Hi, ", "Hello. ", "Hey, ", "OK, ", "So, ", "Now: ")) + ask
    return ask


def greeting(r):
    table = CHAT_ZH if r.random() < 0.3 else CHAT
    intent = r.choice(list(table))
    asks, answer, reason = table[intent]
    ask = r.choice(asks)
    if r.random() < 0.25:
        ask = ask.lower() if r.random() < 0.5 else ask.rstrip(".!?。！？") + r.choice(("", "!", ".", " :)", "?" if "?" in ask else "!"))
    return one("chat", ask, answer, reason if r.random() < 0.5 else None)


def command(r):
    if r.random() < 0.15:
        asks, answer = r.choice(FACTS)
        return one("commands", vary(r, r.choice(asks)), answer, "A question about the project." if r.random() < 0.5 else None)
    topic = r.choice(list(COMMANDS))
    goals, answer, goals_zh, answer_zh = COMMANDS[topic]
    x = r.random()
    if x < 0.2:
        name = {"model": "-m", "thinking": "--thinking", "backend": "--backend", "threads": "--threads", "sampling": "--temperature",
                "json": "--json", "length": "--max-tokens", "help": "--help", "run": "script/run"}.get(topic, topic)
        ask = r.choice(WHAT_IS).format(c=name)
        zh = "什么" in ask
    elif x < 0.4:
        ask, zh = r.choice(HOW_ZH).format(g=r.choice(goals_zh)), True
    else:
        ask, zh = vary(r, r.choice(HOW).format(g=r.choice(goals))), False
    think = f"This is about {topic}." if r.random() < 0.5 else None
    return one("commands", ask, answer_zh if zh else answer, think)


def translate(r):
    en, zh = r.choice(PAIRS)
    think = f"{en} = {zh}" if r.random() < 0.4 else None
    if r.random() < 0.5:
        w = r.choice((en, en, f'"{en}"', f"'{en}'", en.capitalize()))
        return one("translate", r.choice(TO_ZH).format(w=w), zh, think)
    w = r.choice((zh, zh, f'"{zh}"', f"“{zh}”"))
    return one("translate", r.choice(TO_EN).format(w=w), en, think)


# ---------------------------------------------------------------- honest refusal
SUBJECTS = (
    "the French Revolution|quantum physics|the stock market|climate change|the Roman Empire|photosynthesis|black holes|football|"
    "the president|machine learning|cooking pasta|Shakespeare|the human brain|vaccines|the Moon landing|dinosaurs|the Great Wall|"
    "guitar chords|my taxes|my health|the latest news|the war|history of China|philosophy|chess openings|Python|Rust|JavaScript|"
    "the Bible|religion|politics|love|happiness|the weather on Mars|volcanoes|the Olympic Games|airplanes|bitcoin|electric cars|"
    "DNA|gravity|the speed of light|Einstein|Mozart|the Amazon river|coffee beans|wine|dogs and cats|sharks|time travel|ghosts|"
    "the meaning of life|the population of Japan|the capital of France|the tallest mountain|the largest ocean|the internet|"
    "databases|operating systems|Linux|compilers|my boss|a good book|movies|a vacation in Italy|yoga|sleep|vitamins|tomatoes|"
    "economics|inflation|art|painting|poems|ancient Egypt|the pyramids|robots|space travel|Saturn|cancer|diabetes|exercise|"
    "the law|contracts|marriage|children|school|university|jobs|salaries|houses|gardening|bees|trees|rockets|nuclear power"
).split("|")
OPEN_ASK = (
    "Tell me about {s}.", "What do you think about {s}?", "Explain {s} to me.", "Write an essay about {s}.", "Write a poem about {s}.",
    "Give me facts about {s}.", "Why is {s} important?", "What is {s}?", "Who invented {s}?", "When did {s} begin?", "How does {s} work?",
    "Write a story about {s}.", "What is the history of {s}?", "Summarize {s}.", "What is the best thing about {s}?", "Is {s} dangerous?",
    "Where can I learn about {s}?", "Do you like {s}?", "Can you teach me {s}?", "What should I know about {s}?", "Give me advice on {s}.",
    "Describe {s} in detail.", "How do I understand {s}?", "What are the problems of {s}?", "Make a plan for {s}.", "Write code about {s}.",
    "What happened with {s} in {n}?", "Who is the most famous person in {s}?", "How much does {s} cost?", "List {n} books about {s}.",
    "Compare {s} and {t}.", "What is the link between {s} and {t}?", "Which is better, {s} or {t}?", "Tell me a joke about {s}.",
    "Translate a text about {s} into German.", "Sing a song about {s}.", "Argue against {s}.", "Why do people talk about {s}?",
)
SINGLE_ASK = (
    "What is the capital of {c}?", "Who is the president of {c}?", "How many people live in {c}?", "Where is {c}?", "What is the weather in {c}?",
    "What time is it in {c}?", "Is it raining in {c}?", "Recommend a restaurant in {c}.", "Who won the match in {c}?", "How far is {c} from here?",
    "Write a Python function for me.", "Write a web page.", "Fix my code.", "What is today's date?", "What day is it?", "Tell me a joke.",
    "Tell me a story.", "Write a poem.", "Sing a song.", "Who will win the election?", "What is the square root of {n}?", "Divide {n} by {m}.",
    "What is {n} / {m}?", "Solve x squared = {n}.", "What is the logarithm of {n}?", "Draw a picture.", "Show me a photo of {c}.", "Play music.",
    "Book a flight to {c}.", "Call my mother.", "Order a pizza.", "What is love?", "Am I beautiful?", "Give me money.", "I feel sad.",
    "I am hungry.", "How do I cook rice?", "What should I eat today?", "Is there a god?", "What is the meaning of life?", "Who are your parents?",
    "Do my homework.", "Write my thesis.", "Hack a website.", "Give me a recipe for soup.", "How old is {p}?", "Who is {p}?",
    "Where does {p} live?", "What did {p} do?", "Is {p} famous?", "What is the phone number of {p}?", "Translate this letter to French.",
    "Summarize this article.", "Read this book for me.", "Correct my English.", "Name three rivers.", "Name a famous painter.",
)
OPEN_ASK_ZH = ("讲讲{s}。", "什么是{s}？", "你怎么看{s}？", "写一篇关于{s}的文章。", "写一首关于{s}的诗。", "{s}的历史是什么？", "{s}为什么重要？",
               "谁发明了{s}？", "请解释{s}。", "介绍一下{s}。", "如何学习{s}？", "关于{s}你知道什么？", "讲一个关于{s}的笑话。", "{s}有什么问题？")
SUBJECTS_ZH = (
    "法国革命|量子力学|股票|气候变化|罗马帝国|光合作用|黑洞|足球|总统|机器学习|做饭|莎士比亚|大脑|疫苗|登月|恐龙|长城|吉他|税|健康|新闻|战争|"
    "中国历史|哲学|围棋|编程|宗教|政治|爱情|幸福|火山|奥运会|比特币|电动车|基因|引力|光速|爱因斯坦|莫扎特|咖啡|红酒|鲨鱼|时间旅行|人生的意义|"
    "法国的首都|最高的山|互联网|数据库|操作系统|电影|旅行|瑜伽|睡眠|经济|通货膨胀|艺术|绘画|诗歌|埃及|金字塔|机器人|太空|癌症|法律|婚姻|教育|工作"
).split("|")
SYLLABLES = "al an ar be ber co con da de den di dor el en er es fa fer gan ge gor ha hi in is ka ken la lan le lin lo ma men mi mor na ne nor o on or pa per ra re ri ro sa sen ser si so ta ten ter ti to tor un ur va ver vi wa zen".split()


def nonsense(r):
    x = r.random()
    if x < 0.35:
        return " ".join("".join(r.choice(SYLLABLES) for _ in range(r.randint(1, 4))) for _ in range(r.randint(1, 6)))
    if x < 0.5:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randint(4, 16)))
    if x < 0.62:
        return "".join(chr(r.randrange(0x4E00, 0x9FA5)) for _ in range(r.randint(2, 8)))
    if x < 0.72:
        return "".join(chr(r.choice((r.randrange(0xA1, 0x500), r.randrange(0x3040, 0x30FF), r.randrange(0x1F300, 0x1F64F))))
                       for _ in range(r.randint(1, 6)))
    if x < 0.8:
        return "".join(r.choice("!?.,;:-_#*+=/\\<>()[]{}@$%&~^|'\"") for _ in range(r.randint(3, 10)))
    from tasks_numbers import WORDS
    return " ".join(r.choice(WORDS) for _ in range(r.randint(2, 8))) + r.choice(("", ".", "?"))


def refusal(r, off_topic=False):
    """off_topic: only subjects that no calculator or weather tool could serve."""
    from tasks_tools import CITIES, NAMES, draw_city
    x, zh = 0.0 if off_topic else r.random(), False
    if x < 0.45:
        s, t = r.sample(SUBJECTS, 2)
        if r.random() < 0.3:
            s = " ".join("".join(r.choice(SYLLABLES) for _ in range(r.randint(1, 3))) for _ in range(r.randint(1, 2)))
        ask = vary(r, r.choice(OPEN_ASK).format(s=s, t=t, n=r.randint(2, 2020)))
    elif x < 0.7:
        p = r.choice(NAMES) + " " + "".join(r.choice(SYLLABLES) for _ in range(r.randint(1, 3))).capitalize()
        ask = vary(r, r.choice(SINGLE_ASK).format(c=draw_city(r) if r.random() < 0.5 else r.choice(CITIES), n=r.randint(2, 999),
                                          m=r.randint(2, 99), p=p))
    elif x < 0.85:
        ask, zh = r.choice(OPEN_ASK_ZH).format(s=r.choice(SUBJECTS_ZH)), True
    else:
        ask = nonsense(r)
        zh = any("\u4e00" <= c <= "\u9fff" for c in ask)
    think = ("我不知道这个。" if zh else "I do not know this.") if r.random() < 0.5 else None
    return one("refuse", ask, REFUSE_ZH if zh else REFUSE, think)


# ---------------------------------------------------------------- dialogue
SYSTEMS = ("You are a helpful assistant.", "You are nano.", "Answer briefly.", "Be kind.", "You are a small model.", "你是一个有用的助手。",
           "You are a helpful AI assistant.", "Answer in one line.", "You are a friendly assistant that helps people.",
           "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")


def remember(r):
    """Something said earlier in the talk is asked for later."""
    from tasks_tools import NAMES, draw_city
    zh = r.random() < 0.2
    if zh:
        n = r.randrange(1000)
        told, reply, ask, answer = f"我的数字是{n}。", f"好的，你的数字是{n}。", "我的数字是多少？", f"你的数字是{n}。"
    elif r.random() < 0.5:
        n = r.choice(NAMES)
        told = r.choice(("My name is {n}.", "I am {n}.", "Hello, my name is {n}.", "Call me {n}.", "Hi, I'm {n}.")).format(n=n)
        reply, ask, answer = f"Hello, {n}!", r.choice(("What is my name?", "Who am I?", "Do you remember my name?", "what's my name")), f"Your name is {n}."
    else:
        n = r.choice((str(r.randrange(1000)), draw_city(r)))
        told = r.choice(("Remember {n}.", "Please keep {n} in mind.", "Remember this: {n}", "Note {n}.")).format(n=n)
        reply, ask, answer = f"I keep {n} in mind.", r.choice(("What did I tell you?", "What should you remember?", "What did you note?")), f"You told me {n}."
    think = ("用户之前说过。" if zh else "The user said it before.") if r.random() < 0.4 else None
    if r.random() < 0.3:
        return one("dialogue", told, reply, think)
    s = one("dialogue", ask, answer, think)
    s.messages = [{"role": "user", "content": told}, {"role": "assistant", "content": reply}] + s.messages
    s.key += told
    return s
