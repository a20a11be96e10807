// Node loads this file before jsii's own (NODE_OPTIONS=--require); faststart.go says what it is for and why it is safe.
//
// It does four things, and only in a jsii kernel that it knows byte for byte:
//   - one process instead of two: jsii starts a process that starts a second one and carries messages between it and the program;
//   - an assembly (.jsii, 120 MB of JSON for the AWS provider) is not parsed: an index says where in it each type stands, and a type
//     is read when the kernel asks for it;
//   - a package whose entry only lists its submodules loads each when the kernel asks for it;
//   - no stack trace is taken down for each token that is made.
// Whatever it finds different from what it expects, it leaves to jsii.
'use strict';

const key = Symbol.for('faststart');
const started = process.argv[1] ?? '';
if (/[\\/]jsii-runtime\.js$/.test(started) && !globalThis[key]) {
  globalThis[key] = true;
  start(started);
}

function start(runtime) {
  const fs = require('fs');
  const path = require('path');
  const crypto = require('crypto');
  const Module = require('module');

  // SHA-256 of the two files of each jsii kernel that the changes below were tried with.
  const kernels = [
    { // 1.112.0
      runtime: '9363906dc1ea3718986493f30e168147753c3f9c51a5bd5c84b9545d014d56da',
      program: 'f04fb10127c29c3bf9dc871f47001931f2ef7ab02bde02d59ec31dc5cca81bfc',
    },
  ];

  // What changes in the kernel's program.js: each text is there once.
  const changes = [
    // It reads requests from standard input and writes answers to standard output itself; no other process stands between.
    ['readFD: 3,', 'readFD: 0,'],
    ['writeFD: 3\n', 'writeFD: 1\n'],
    // The assembly, and what its package exports, are this file's if it can make them.
    ['spec.loadAssemblyFromPath(packageDir, this.validateAssemblies)',
      '(globalThis[Symbol.for("faststart")].assembly(packageDir, this.validateAssemblies) ?? spec.loadAssemblyFromPath(packageDir, this.validateAssemblies))'],
    ['__classPrivateFieldGet(this, _Kernel_require, "f")(entryPoint)',
      '(globalThis[Symbol.for("faststart")].exportsOf(packageDir, entryPoint) ?? __classPrivateFieldGet(this, _Kernel_require, "f")(entryPoint))'],
    // A message that is made for each value that passes, and hardly ever said: a tenth of the kernel's time.
    ['assert(typeRef != null, `Kernel error: expected type information, got ${(0, util_1.inspect)(typeRef)}`);',
      'if (typeRef == null) assert(typeRef != null, `Kernel error: expected type information, got ${(0, util_1.inspect)(typeRef)}`);'],
    // Three counts of an assembly's types, for which their names need not be read.
    ['types: Object.keys((_a = assm.metadata.types) !== null && _a !== void 0 ? _a : {}).length',
      'types: globalThis[Symbol.for("faststart")].count(assm.metadata.types)'],
    ['types: ${Object.keys((_b = assm.metadata.types) !== null && _b !== void 0 ? _b : {}).length}',
      'types: ${globalThis[Symbol.for("faststart")].count(assm.metadata.types)}'],
    ['types: Object.keys((_c = assmSpec.types) !== null && _c !== void 0 ? _c : {}).length',
      'types: globalThis[Symbol.for("faststart")].count(assmSpec.types)'],
  ];

  // Only an assembly of some size is worth an index. In bytes: cdktf's, the next smaller one, has 0.8 MB and is parsed in 10 ms.
  const worthwhile = 1e6;

  const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

  // ---- The kernel ------------------------------------------------------------------------------------------------------

  // kernel gives the changed text of program.js, or undefined for a kernel that is not known.
  function kernel(program) {
    const text = fs.readFileSync(program);
    const known = kernels.find((k) => k.program === sha256(text));
    if (!known || known.runtime !== sha256(fs.readFileSync(runtime))) return undefined;
    let changed = text.toString('utf8');
    for (const [from, to] of changes) {
      const parts = changed.split(from);
      if (parts.length !== 2) return undefined;
      changed = parts.join(to);
    }
    return changed;
  }

  // printed gives what is printed to the program as the process between would have: a line of JSON on standard error.
  function printed(name) {
    const { Writable } = require('stream');
    const stream = new Writable({
      decodeStrings: true,
      write(chunk, _encoding, done) {
        fs.writeSync(2, JSON.stringify({ [name]: chunk.toString('base64') }) + '\n');
        done();
      },
    });
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
  }

  // ---- The index -------------------------------------------------------------------------------------------------------

  // An index is text. The first line is the SHA-256 of all that follows; the second, in JSON, says what it is of and how many lines of each
  // kind come. Then, for each type, sorted: `name start end`, the bytes of the .jsii that are its JSON. Then, for each
  // export of the package's entry: `name request`.

  const separator = /^,\n    $/;

  // learn makes the index of an assembly from its whole bytes, once. It proves that the file is nothing but
  //   head "types": { "name": type, ... } tail
  // with each type valid JSON that has the name it is listed under: what is read through the index is then what a parse of all gives.
  function learn(file, id, entry) {
    const all = fs.readFileSync(file);
    const opening = Buffer.from('\n  "types": {\n    ');
    const start = all.indexOf(opening) + opening.length;
    if (start < opening.length) return undefined;
    const lines = [];
    const names = new Set();
    let at = start;
    for (;;) {
      // `"name": {`, alone on its line
      const colon = all.indexOf('": {\n', at);
      if (all[at] !== 0x22 || colon < 0) return undefined;
      const name = JSON.parse(all.toString('utf8', at, colon + 1));
      const from = colon + 3;
      const close = all.indexOf('\n    }', from);
      if (close < 0) return undefined;
      const to = close + 6;
      if (JSON.parse(all.toString('utf8', from, to)).fqn !== name || /\s/.test(name) || names.has(name)) return undefined;
      names.add(name);
      lines.push(`${name} ${from} ${to}`);
      if (all.toString('latin1', to, to + 4) === '\n  }') {
        at = to;
        break;
      }
      if (!separator.test(all.toString('latin1', to, to + 6))) return undefined;
      at = to + 6;
    }
    const tail = all.toString('utf8', at);
    JSON.parse(all.toString('utf8', 0, start) + tail);
    if ('types' in JSON.parse('{"": {' + tail)) return undefined; // the last of a name counts
    lines.sort();
    const exported = listed(entry);
    const header = { ...id, types: lines.length, head: start, tail: at, exports: exported.length };
    const text = [JSON.stringify(header), ...lines, ...exported.map(([name, request]) => `${name} ${request}`)].join('\n');
    return sha256(text) + '\n' + text;
  }

  // listed gives what a package's entry exports, pairs of name and request, if it does nothing but `exports.name = require("request");`
  // for each; else none, and the entry is loaded as it is.
  function listed(entry) {
    const found = [];
    const rest = fs.readFileSync(entry, 'utf8')
      .replace(/^\/\*[^]*?\*\//gm, '')
      .replace(/^\/\/.*$/gm, '')
      .replace(/^(exports\.\w+ = )+void 0;$/gm, '')
      .replace(/^exports\.(\w+) = require\("(\.\/[\w./-]+)"\);$/gm, (_, name, request) => {
        found.push([name, request]);
        return '';
      });
    if (rest.replace(/\s/g, '') !== '"usestrict";Object.defineProperty(exports,"__esModule",{value:true});') return [];
    return new Set(found.map(([name]) => name)).size === found.length ? found : [];
  }

  // identify tells one assembly from any other: the end of a .jsii is a fingerprint of its content.
  function identify(file, entry) {
    const size = fs.statSync(file).size;
    if (size < worthwhile) return undefined;
    const end = Buffer.alloc(4096);
    const fd = fs.openSync(file, 'r');
    try {
      fs.readSync(fd, end, 0, end.length, size - end.length);
    } finally {
      fs.closeSync(fd);
    }
    const listing = fs.statSync(entry);
    return { format: 1, size, end: sha256(end), entry: listing.size, changed: Math.trunc(listing.mtimeMs) };
  }

  // indexOf gives an assembly's index from the cache folder, which is this file's own, or makes it.
  function indexOf(file, entry) {
    const id = identify(file, entry);
    if (!id) return undefined;
    const stored = path.join(__dirname, sha256(JSON.stringify(id)).slice(0, 32) + '.index');
    let text;
    try {
      const index = opened(fs.readFileSync(stored, 'utf8'), id);
      if (index) return index;
    } catch {}
    text = learn(file, id, entry);
    if (!text) return undefined;
    store(stored, text);
    return opened(text, id);
  }

  // opened is an index, or undefined if it is damaged or another's.
  function opened(text, id) {
    const sum = text.slice(0, 64);
    const rest = text.slice(65);
    if (sum !== sha256(rest)) return undefined;
    const [header, ...lines] = rest.split('\n');
    const index = { ...JSON.parse(header), lines };
    return Object.keys(id).every((name) => index[name] === id[name]) ? index : undefined;
  }

  // store writes a file whole or not at all; without it, all is as right and slower.
  function store(file, text) {
    const unfinished = `${file}.${process.pid}.${crypto.randomBytes(4).toString('hex')}`;
    try {
      fs.writeFileSync(unfinished, text, { flag: 'wx' });
      fs.renameSync(unfinished, file);
    } catch {
      fs.rmSync(unfinished, { force: true });
    }
  }

  // place finds a type's line, by halves.
  function place(index, name) {
    const prefix = name + ' ';
    let low = 0;
    let high = index.types;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (index.lines[middle] < prefix) low = middle + 1;
      else high = middle;
    }
    const line = low < index.types ? index.lines[low] : '';
    if (!line.startsWith(prefix)) return undefined;
    return line.slice(prefix.length).split(' ').map(Number);
  }

  // ---- What the kernel sees --------------------------------------------------------------------------------------------

  const loaded = new Map(); // by package folder: what is known of it
  const counts = new WeakMap(); // by types object: how many

  function assembly(packageDir, validate) {
    try {
      if (validate) return undefined;
      const file = path.join(packageDir, '.jsii');
      const entry = path.join(packageDir, JSON.parse(fs.readFileSync(path.join(packageDir, 'package.json'), 'utf8')).main);
      const index = indexOf(file, entry);
      if (!index) return undefined;
      const { head, tail, size, types } = index;
      const fd = fs.openSync(file, 'r');
      const bytes = (from, to) => {
        const buffer = Buffer.allocUnsafe(to - from);
        if (fs.readSync(fd, buffer, 0, buffer.length, from) !== buffer.length) throw new Error(`${file} is cut short`);
        return buffer.toString('utf8');
      };
      const spec = JSON.parse(bytes(0, head) + bytes(tail, size));
      spec.types = lazyTypes(index, bytes, () => JSON.parse(fs.readFileSync(file, 'utf8')).types);
      counts.set(spec.types, types);
      loaded.set(packageDir, { index, entry });
      return spec;
    } catch {
      return undefined;
    }
  }

  // lazyTypes looks like the object of all types. One is read when it is asked for; for anything else, and on any doubt, all are.
  function lazyTypes(index, bytes, parse) {
    const known = new Map();
    let all;
    const everything = () => (all ??= parse());
    const find = (name) => {
      if (all) return all[name];
      const range = place(index, name);
      if (!range) return everything()[name];
      try {
        const type = JSON.parse(bytes(...range));
        if (type.fqn === name) return type;
      } catch {}
      return everything()[name];
    };
    return new Proxy({}, {
      get(_, name) {
        if (typeof name !== 'string') return everything()[name];
        if (!known.has(name)) known.set(name, find(name));
        return known.get(name);
      },
      has: (_, name) => name in everything(),
      ownKeys: (target) => Reflect.ownKeys(Object.assign(target, everything())),
      getOwnPropertyDescriptor: (target, name) => Object.getOwnPropertyDescriptor(Object.assign(target, everything()), name),
    });
  }

  function count(types) {
    return counts.get(types) ?? Object.keys(types ?? {}).length;
  }

  function exportsOf(packageDir, entryPoint) {
    const known = loaded.get(packageDir);
    if (!known || known.index.exports === 0) return undefined;
    if (fs.realpathSync(known.entry) !== fs.realpathSync(entryPoint)) return undefined;
    const load = Module.createRequire(entryPoint);
    const exported = Object.defineProperty({}, '__esModule', { value: true });
    for (const line of known.index.lines.slice(known.index.types)) {
      const [name, request] = line.split(' ');
      Object.defineProperty(exported, name, {
        configurable: true,
        enumerable: true,
        get() {
          const submodule = load(request);
          Object.defineProperty(exported, name, { configurable: true, enumerable: true, value: submodule });
          return submodule;
        },
      });
    }
    return exported;
  }

  // ---- Here it begins --------------------------------------------------------------------------------------------------

  let text;
  const program = path.resolve(path.dirname(runtime), '..', 'lib', 'program.js');
  try {
    text = kernel(program);
  } catch {}
  if (!text) return;

  // Node's next step is to load jsii-runtime.js: the changed program comes in its place. Until then nothing has changed, so that
  // a Node that loads it in some other way (with a loader of the user's) starts as jsii meant it to.
  const load = Module._extensions['.js'];
  Module._extensions['.js'] = (module, filename) => {
    if (module !== process.mainModule) return load(module, filename);
    Module._extensions['.js'] = load;
    // jsii gives this to its second process, which looks here whether it did.
    if (!process.execArgv.includes('--preserve-symlinks')) process.execArgv.push('--preserve-symlinks');
    printed('stdout');
    printed('stderr');
    // cdktf takes one down, whole, for each token, to show it should that token not resolve: a fifth of the kernel's time. It asks for as many frames
    // as there are numbers, which nobody else does, and gets none.
    const capture = Error.captureStackTrace;
    Error.captureStackTrace = (object, below) => {
      if (Error.stackTraceLimit !== Number.MAX_SAFE_INTEGER) capture(object, below);
    };
    globalThis[key] = { assembly, exportsOf, count };
    module._compile(text, program);
  };
}
