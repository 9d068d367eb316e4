// Plays one episode with given frames and prints the words that the agent remembers; needs only agent.proto.
//
//   node play.js [FRAME.png ...]        without files it makes 12 frames of its own
//
// SHELM_TARGET is the address of the server (127.0.0.1:50051), SHELM_TOKEN the bearer token. Every call may be retried: the same
// episode, step and frame always get the same committed action. Exit code 1 and one line on stderr after a permanent error.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTOS = process.env.SHELM_PROTOS ?? fileURLToPath(new URL("../../protos", import.meta.url));
const TARGET = process.env.SHELM_TARGET ?? "127.0.0.1:50051";
const ATTEMPTS = 5;
const MADE = 12;

const options = { includeDirs: [PROTOS], longs: Number, defaults: true, oneofs: true };
const definition = protoLoader.loadSync("shelm/v1/agent.proto", options);
const { AgentService } = grpc.loadPackageDefinition(definition).shelm.v1;
const service = new AgentService(TARGET, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
if (process.env.SHELM_TOKEN) metadata.set("authorization", `Bearer ${process.env.SHELM_TOKEN}`);

// Calls a method, and retries while the server is unavailable or overloaded. CANCELLED: the server stopped or dropped the call.
async function call(method, request) {
  for (let attempt = 1; ; attempt++) {
    try {
      const deadline = Date.now() + 10_000;
      return await promisify(service[method].bind(service))(request, metadata, { deadline });
    } catch (error) {
      const { UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED } = grpc.status;
      const passing = [UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED].includes(error.code);
      if (!passing || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
    }
  }
}

// Returns a frame as raw RGB pixels, row by row: a bright moving column.
function made({ height, width }, number) {
  const data = Buffer.alloc(height * width * 3, 40);
  for (let row = 0; row < height; row++) {
    const pixel = row * width + ((number * 4) % width);
    data.fill(220, pixel * 3, pixel * 3 + 3);
  }
  return { encoding: "ENCODING_RAW_RGB8", height, width, data };
}

async function play(files) {
  const { agent } = await call("GetAgent", {});
  const names = agent.actionSpace.names;
  const frames = files.length
    ? files.map((file) => ({ encoding: "ENCODING_PNG", data: readFileSync(file) }))
    : Array.from({ length: MADE }, (_, number) => made(agent.observation, number));
  const episodeId = `javascript-${randomUUID()}`;
  metadata.set("shelm-episode", episodeId); // so that proxies can send all calls of the episode to the same server
  console.log(`${episodeId}  ${agent.name}`);
  for (const [step, observation] of frames.entries()) {
    const act = await call("Act", { episodeId, step, observation });
    const words = act.tokens.map((token) => `${token.text} (${token.similarity.toFixed(2)})`).join("  ");
    const chosen = act.action[act.action.kind];
    const action = act.action.kind === "discrete" ? (names[chosen] ?? chosen) : JSON.stringify(chosen);
    console.log(`${String(step).padStart(4)}  ${words}  -> ${action}`);
  }
  await call("EndEpisode", { episodeId });
}

try {
  await play(process.argv.slice(2));
} catch (error) {
  console.error(`play.js: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  service.close();
}
