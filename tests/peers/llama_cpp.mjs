// llama.cpp, as node-llama-cpp has it, on one GGUF file: `node llama_cpp.mjs FOLDER < request.json`, where FOLDER holds
// node_modules. Prints {"prompts": [[id, ...], ...], "completions": [[id, ...], ...], "stops": [id, ...]}.
//
// A request is {"model", "questions", "maxTokens"}: each question becomes the one user message, goes through the chat
// template that the file holds, and is tokenized by llama.cpp; maxTokens of 0 decodes nothing.
import {readFileSync, writeSync} from "node:fs";
import {join, resolve} from "node:path";
import {pathToFileURL} from "node:url";

const modules = resolve(process.argv[2], "node_modules");
const load = (name) => import(pathToFileURL(join(modules, name)));
const {getLlama, LlamaLogLevel} = await load("node-llama-cpp/dist/index.js");
const {Template} = await load("@huggingface/jinja/dist/index.js");

const {model: path, questions, maxTokens} = JSON.parse(readFileSync(0, "utf8"));
const llama = await getLlama({gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: path});
const template = new Template(model.fileInfo.metadata.tokenizer.chat_template);

const prompts = questions.map((question) => model.tokenize(template.render({
    messages: [{role: "user", content: question}],
    add_generation_prompt: true,
    bos_token: model.tokens.bosString,
    eos_token: model.tokens.eosString
}), true));

const completions = [];
if (maxTokens > 0) {
    const contextSize = Math.max(...prompts.map((ids) => ids.length)) + maxTokens;
    // one thread: ggml's threads spin while they wait for each other, which takes minutes where cores are shared
    const exact = {threads: 1, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32", flashAttention: false};
    const context = await model.createContext({contextSize, ...exact});
    const sequence = context.getSequence();
    for (const prompt of prompts) {
        await sequence.clearHistory();
        const found = [];
        for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
            found.push(token);
            if (found.length === maxTokens || model.isEogToken(token)) break;
        }
        completions.push(found);
    }
}
const stops = [...new Set([model.tokens.eos, model.tokens.eot])].filter((token) => token !== null && model.isEogToken(token));
writeSync(1, JSON.stringify({prompts, completions, stops}));
process.exit(0);
