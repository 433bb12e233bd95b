// No-op jobs a second of two queues for Node.js, on the server of the benchmark: singly and in
// batches. node run.mjs CONNECTION_STRING JOBS; prints a line for each.
import { Logger, run, makeWorkerUtils } from "graphile-worker";
import pg from "pg";
import PgBoss from "pg-boss";

const [connectionString, wanted] = process.argv.slice(2);
const jobs = Number(wanted);
const concurrency = 8;
const logger = new Logger(() => (level, message) => { if (level === "error") console.error(message); });

function tell(name, begun) {
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  console.log(`${name.padEnd(34)}${Math.round(jobs / seconds).toString().padStart(8)}`);
}

async function graphile(name, preset) {
  const pool = new pg.Pool({ connectionString, max: concurrency + 2 });
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  await utils.migrate();
  await pool.query("SELECT graphile_worker.add_job('noop', '{}'::json) FROM generate_series(1, $1::int)", [jobs]);
  await pool.query("ANALYZE");
  const begun = process.hrtime.bigint();
  let done = 0;
  let runner;
  await new Promise(async (resolve) => {
    runner = await run({
      pgPool: pool, concurrency, noHandleSignals: true, logger, ...preset,
      taskList: { noop: async () => { if (++done === jobs) resolve(); } },
    });
  });
  await runner.stop();
  tell(name, begun);
  await utils.release();
  await pool.end();
}

async function boss(name, batchSize) {
  const boss = new PgBoss({ connectionString, max: concurrency, supervise: false, schedule: false });
  boss.on("error", console.error);
  await boss.start();
  const queue = `noop_${batchSize}`;
  await boss.createQueue(queue);
  for (let i = 0; i < jobs; i += 1000)
    await boss.insert(Array.from({ length: Math.min(1000, jobs - i) }, () => ({ name: queue, data: {} })));
  const pool = new pg.Pool({ connectionString, max: 1 });
  await pool.query("ANALYZE");
  const begun = process.hrtime.bigint();
  await Promise.all(Array.from({ length: concurrency }, async () => {
    for (;;) {
      const taken = await boss.fetch(queue, { batchSize });
      if (!taken || taken.length === 0) return;
      await boss.complete(queue, taken.map((job) => job.id));
    }
  }));
  tell(name, begun);
  await pool.end();
  await boss.stop({ graceful: false });
}

await graphile("graphile-worker, singly", {});
await graphile("graphile-worker, in batches", {
  preset: { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
});
await boss("pg-boss, singly", 1);
await boss("pg-boss, 100 at once", 100);
process.exit(0);
