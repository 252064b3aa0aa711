import { badRequest } from "./api-error.ts";
import { type Call, noteTurn, type Service } from "./call.ts";
import { promptIds, readBody } from "./preparing.ts";
import { embeddingSchema, loadAdapterSchema, unloadAdapterSchema } from "./request-fields.ts";
import type { ServedModel } from "./served-models.ts";

const described = ({ name, parent, created, label, room }: ServedModel) => ({
  ...{ id: name, object: "model", created, owned_by: "amalgam", root: label, parent: parent ?? null },
  max_model_len: room,
});

/** `GET /v1/models` */
export const listModels = ({ models }: Service): Response =>
  Response.json({ object: "list", data: models.list().map(described) });

/** `GET /v1/models/{name}`. @throws ApiError 404 */
export const describeModel = ({ models }: Service, name: string): Response =>
  Response.json(described(models.get(name)));

/** `POST /v1/load_lora_adapter` */
export async function loadAdapter(service: Service, call: Call): Promise<Response> {
  const {
    lora_name: name,
    lora_path: folder,
    base_model_name: model,
    cache_mib: cacheMib,
  } = await readBody(loadAdapterSchema, call, service);
  return Response.json(
    described(
      await service.models.loadAdapter({ name, folder, model, ...(cacheMib === undefined ? {} : { cacheMib }) }),
    ),
  );
}

/** `POST /v1/unload_lora_adapter` */
export async function unloadAdapter(service: Service, call: Call): Promise<Response> {
  const { lora_name: name } = await readBody(unloadAdapterSchema, call, service);
  service.models.unloadAdapter(name);
  return Response.json({ id: name, object: "model", deleted: true });
}

/** `POST /v1/embeddings` */
export async function embeddings(service: Service, call: Call): Promise<Response> {
  const request = await readBody(embeddingSchema, call, service);
  const { model, release } = service.models.use(request.model);
  call.facts.model = request.model;
  try {
    const texts = promptIds(model, request.input, "input").map(({ ids }) => ids);
    if (texts.length > service.limits.choices)
      throw badRequest(
        `${texts.length} texts are given, and this server takes at most ${service.limits.choices} at once`,
        "input",
      );
    const { vocabularySize, maxPositions } = model;
    for (const ids of texts) {
      if (ids.length > maxPositions)
        throw badRequest(
          `a text has ${ids.length} tokens, the model's context ${maxPositions}`,
          "input",
          "context_length_exceeded",
        );
      const unknown = ids.find((id) => id >= vocabularySize);
      if (unknown !== undefined)
        throw badRequest(`there is no token ${unknown}: the model has ${vocabularySize}`, "input");
    }
    const promptTokens = texts.reduce((sum, { length }) => sum + length, 0);
    call.facts.promptTokens = promptTokens;
    const [coming] = service.queue.enter(call.client, [{ size: 1, promptTokens }], call.signal);
    const place = await coming!;
    try {
      noteTurn(service, call);
      const vectors = await model.embed(texts, call.signal);
      return Response.json({
        object: "list",
        data: vectors.map((vector, index) => ({
          ...{ object: "embedding", index },
          embedding:
            request.encoding_format === "base64"
              ? Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64")
              : [...vector],
        })),
        model: request.model,
        usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
      });
    } finally {
      place.leave();
    }
  } finally {
    release();
  }
}
