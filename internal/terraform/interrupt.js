// Node loads this before cdktf does anything, as NODE_OPTIONS says.
//
// cdktf answers an interrupt by passing it on to terraform and ending at once. With it ends the terminal that it has made for terraform, which
// dies of that, in the midst of what it does: what AWS was making just then is in no state, and an S3 state stays locked. So, while terraform
// runs, an interrupt is terraform's alone. It then finishes what it has begun, says so, writes its state and ends, and cdktf after it.
const Module = require("module");

const interrupts = ["SIGINT", "SIGTERM", "SIGQUIT"];

function spawn(pty, ...args) {
  const terraform = pty.spawn(...args);
  const usual = interrupts.map((signal) => [signal, process.rawListeners(signal)]);
  for (const signal of interrupts) {
    process.removeAllListeners(signal);
    process.on(signal, () => terraform.write("\x03")); // Ctrl-C, in terraform's terminal
  }
  terraform.onExit(() => {
    for (const [signal, listeners] of usual) {
      process.removeAllListeners(signal);
      for (const listener of listeners) process.on(signal, listener);
    }
  });
  return terraform;
}

const load = Module._load;
Module._load = function (name, ...rest) {
  const loaded = load.call(this, name, ...rest);
  if (name !== "@cdktf/node-pty-prebuilt-multiarch") return loaded;
  return { ...loaded, spawn: (...args) => spawn(loaded, ...args) };
};
