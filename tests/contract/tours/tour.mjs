// Every operation of the official Node SDK, once; `tour.py` is the same in Python.

import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';

const there = JSON.parse(process.env.TOUR);
const client = new OpenAI({
  baseURL: there.base_url,
  apiKey: there.key,
  adminAPIKey: there.key, // without one this SDK does not ask for permissions
  maxRetries: 0,
});
const rows = (text = '{}\n') => toFile(Buffer.from(text), 'rows.jsonl');

async function collect(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}
const ids = async (pages) => (await collect(pages)).map((item) => item.id);

async function files() {
  const file = await client.files.create({ file: await rows(), purpose: 'fine-tune' });
  assert((await ids(client.files.list({ limit: 1 }))).includes(file.id));
  assert.equal((await client.files.retrieve(file.id)).filename, 'rows.jsonl');
  assert.equal(await (await client.files.content(file.id)).text(), '{}\n');
  assert((await client.files.delete(file.id)).deleted);
}

async function uploads() {
  const asked = { filename: 'rows.jsonl', mime_type: 'text/plain', purpose: 'fine-tune' };
  const upload = await client.uploads.create({ bytes: 4, ...asked });
  const second = await client.uploads.parts.create(upload.id, { data: await rows('b\n') });
  const first = await client.uploads.parts.create(upload.id, { data: await rows('a\n') });
  const done = await client.uploads.complete(upload.id, { part_ids: [first.id, second.id] });
  assert.equal(await (await client.files.content(done.file.id)).text(), 'a\nb\n');
  const other = await client.uploads.create({ bytes: 1, ...asked });
  assert.equal((await client.uploads.cancel(other.id)).status, 'cancelled');
}

async function jobs() {
  const file = await client.files.create({ file: await rows(), purpose: 'fine-tune' });
  const job = await client.fineTuning.jobs.create({
    model: there.base,
    training_file: file.id,
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 2 } } },
    metadata: { tour: '1' },
  });
  const found = client.fineTuning.jobs.list({ limit: 1, metadata: { tour: '1' } });
  assert.deepEqual(await ids(found), [job.id]);
  assert.equal((await client.fineTuning.jobs.retrieve(job.id)).hyperparameters.n_epochs, 2);
  assert((await collect(client.fineTuning.jobs.listEvents(job.id, { limit: 1 }))).length);
  assert.equal((await client.fineTuning.jobs.cancel(job.id)).status, 'cancelled');
  assert.equal((await client.fineTuning.jobs.pause(there.queued_job)).status, 'paused');
  assert.equal((await client.fineTuning.jobs.resume(there.queued_job)).status, 'queued');
  const checkpoints = await collect(client.fineTuning.jobs.checkpoints.list(there.tuned_job));
  assert.deepEqual(checkpoints.map((checkpoint) => checkpoint.step_number), [3]);
}

async function permissions() {
  const resource = client.fineTuning.checkpoints.permissions;
  const [made] = await collect(
    resource.create(there.tuned, { project_ids: [there.other_project] }),
  );
  assert.deepEqual(await ids(resource.list(there.tuned)), [made.id]);
  const gone = await resource.delete(made.id, { fine_tuned_model_checkpoint: there.tuned });
  assert(gone.deleted);
}

async function graders() {
  const grader = {
    type: 'string_check',
    name: 'same',
    operation: 'eq',
    input: '{{sample.output_text}}',
    reference: '{{item.answer}}',
  };
  const resource = client.fineTuning.alpha.graders;
  assert((await resource.validate({ grader })).grader);
  const graded = await resource.run({ grader, model_sample: '4', item: { answer: '4' } });
  assert.equal(graded.reward, 1);
}

async function answers() {
  const ask = {
    model: there.base,
    messages: [{ role: 'user', content: 'Who are you?' }],
    metadata: { tour: '1' },
  };
  const resource = client.chat.completions;
  const stored = await resource.create({ ...ask, store: true, logprobs: true, top_logprobs: 1 });
  let text = '';
  for await (const chunk of await resource.create({ ...ask, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? '';
  }
  assert.equal(text, stored.choices[0].message.content);
  assert((await ids(resource.list({ limit: 1 }))).includes(stored.id));
  assert.deepEqual((await resource.retrieve(stored.id)).choices, stored.choices);
  const messages = await collect(resource.messages.list(stored.id));
  assert.deepEqual(messages.map((message) => message.content), ['Who are you?']);
  assert.equal((await resource.update(stored.id, { metadata: { tour: '2' } })).id, stored.id);
  assert((await resource.delete(stored.id)).deleted);
  const completion = await client.completions.create({
    model: there.base,
    prompt: 'x',
    logprobs: 1,
    max_tokens: 3,
  });
  assert(completion.choices[0].text);
  const embedded = await client.embeddings.create({ model: there.embedder, input: ['a', 'b'] });
  assert.equal(embedded.data.length, 2);
}

async function batches() {
  const file = await client.files.create({ file: await rows(), purpose: 'batch' });
  const batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/embeddings',
    completion_window: '24h',
  });
  assert((await ids(client.batches.list({ limit: 1 }))).includes(batch.id));
  assert.equal((await client.batches.retrieve(batch.id)).status, 'validating');
  assert.equal((await client.batches.cancel(batch.id)).status, 'cancelling');
}

async function webhooks() {
  const resource = client.webhooks;
  const types = (await resource.eventTypes.list()).data;
  const made = await resource.create({
    name: 'tour',
    url: there.hook_url,
    event_types: types.slice(0, 1),
  });
  assert((await ids(resource.list())).includes(made.id));
  assert.equal((await resource.retrieve(made.id)).name, 'tour');
  assert.equal((await resource.update(made.id, { name: 'other' })).name, 'other');
  assert.notEqual((await resource.rotateSecret(made.id)).signing_secret, made.signing_secret);
  assert((await resource.test(made.id, { event_type: types[0] })).success);
  assert((await resource.delete(made.id)).deleted);
}

async function models() {
  assert.equal((await client.models.list()).data[0].id, there.base);
  assert.equal((await client.models.retrieve(there.tuned)).id, there.tuned);
  assert((await client.models.delete(there.tuned)).deleted);
}

async function failures() {
  await assert.rejects(client.fineTuning.jobs.retrieve('ftjob-none'), (error) => {
    assert(error instanceof OpenAI.NotFoundError);
    assert.deepEqual([error.code, error.param], ['job_not_found', 'fine_tuning_job_id']);
    assert(error.requestID);
    return true;
  });
}

for (const part of [
  ...[files, uploads, jobs, permissions, graders, answers, batches, webhooks],
  ...[models, failures],
]) {
  await part();
}
