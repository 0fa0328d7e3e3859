// Paints an image of any size in tiles, with the moments of the whole image: what
// stylejax.inference.backends.tiled does, on the models of stylejax/deploy/onnx_stages.py.
// Nothing of files, of onnxruntime or of the page.

/** Pixels of a tile's side: it decides how much memory the networks take. */
export const TILE_SIDE = 1024;

const NOISE_SIDE = 256;
const SIGN_SIDE = 251;
const EPS = 1e-5;

/**
 * An image in the style of a code, at full strength.
 *
 * `run(model, feeds)` runs a model; feeds and results are {name: [array, shape]}. `image` is
 * {data, width, height} with RGBA bytes. Returns RGB of 16 bits, a Uint16Array.
 */
export async function paint(run, plan, image, code, noiseGain, onProgress, side = TILE_SIDE) {
  const maps = new Maps(plan, image);
  let done = 0;
  const report = (share, rows, columns, [height, width]) => {
    done += (share * (rows.last - rows.first) * (columns.last - columns.first)) / (height * width);
    onProgress(Math.min(done, 1));
  };

  const cells = [maps.height / plan.stride, maps.width / plan.stride];
  const names = plan.levels.map((_, level) => `level${level}`);
  names.forEach((name, level) => maps.open(name, plan.levels[level], level, level > 0));
  for (const [rows, columns] of tiles(cells, Math.floor(side / plan.stride), plan.halo)) {
    const feeds = {pixels: maps.pixels(rows, columns, plan.stride)};
    names.forEach((_, level) => {
      const scale = plan.stride / cell(plan, level);
      feeds[`rows${level}`] = [rows.exactInTile(scale), [2]];
      feeds[`columns${level}`] = [columns.exactInTile(scale), [2]];
    });
    const results = await run('encoder', feeds);
    names.forEach((name, level) => {
      const [mean, variance] = [results[`${name}/mean`], results[`${name}/variance`]];
      maps.keep(name, rows, columns, plan.stride / cell(plan, level), results[name], mean, variance);
    });
    report(plan.encoder_work, rows, columns, cells);
  }

  const moments = {code: [code, [code.length]]};
  for (const name of names) {
    const {mean, std} = maps.moments(name);
    moments[`${name}/mean`] = [mean, [mean.length]];
    moments[`${name}/std`] = [std, [std.length]];
  }
  const targets = await run('targets', moments);

  const painted = new Uint16Array(3 * image.width * image.height);
  for (const [number, stage] of plan.stages.entries()) {
    const inputs = stage.fine ? [...stage.inputs, stage.fine] : stage.inputs;
    const constant = {};
    for (const name of inputs) Object.assign(constant, maps.modulation(name, targets, noiseGain));
    const depth = plan.maps[stage.inputs[0]].depth;
    const pixels = cell(plan, depth);
    const coarse = [maps.height, maps.width].map((length) => length / pixels);
    if (stage.output !== 'image') {
      const {channels, depth: deep} = plan.maps[stage.output];
      maps.open(stage.output, channels, deep, true);
    }
    for (const [rows, columns] of tiles(coarse, Math.floor(side / pixels), 1)) {
      const feeds = {...constant};
      for (const name of inputs) Object.assign(feeds, maps.tile(name, rows, columns, depth));
      feeds.rows = [rows.exactInTile(stage.finer), [2]];
      feeds.columns = [columns.exactInTile(stage.finer), [2]];
      const results = await run(`stage${number}`, feeds);
      if (stage.output === 'image') {
        place(results.image, painted, image, pixels * rows.first, pixels * columns.first);
      } else {
        const {output, mean, variance} = results;
        maps.keep(stage.output, rows, columns, stage.finer, output, mean, variance);
      }
      report(stage.work, rows, columns, coarse);
    }
    maps.release(plan.stages.slice(number + 1));
  }
  return painted;
}

/** Pixels of a side that a cell of a map covers. */
const cell = (plan, depth) => plan.fold * 2 ** depth;

/** The maps that are kept, and the moments of all. */
class Maps {
  constructor(plan, image) {
    this.plan = plan;
    this.image = image;
    // Two cells at least: the models mirror a map's second line, and can't where there is one alone.
    [this.height, this.width] = [image.height, image.width].map(
      (length) => Math.max(2, Math.ceil(length / plan.stride)) * plan.stride);
    this.kept = {};
  }

  open(name, channels, depth, stored) {
    const [height, width] = [this.height, this.width].map((length) => length / cell(this.plan, depth));
    this.kept[name] = {channels, height, width, stored, data: null, count: 0,
      mean: new Float64Array(channels), squares: new Float64Array(channels)};
  }

  /** Takes what is right of a tile's map, and adds its moments to those of the others. */
  keep(name, rows, columns, scale, map, [mean], [variance]) {
    const kept = this.kept[name];
    const [height, width] = [rows, columns].map((window) => scale * (window.last - window.first));
    const [count, total] = [height * width, kept.count + height * width];
    for (let c = 0; c < kept.channels; c++) {
      const difference = mean[c] - kept.mean[c];
      kept.mean[c] += (difference * count) / total;
      kept.squares[c] += count * variance[c] + (difference ** 2 * kept.count * count) / total;
    }
    kept.count = total;
    if (!kept.stored) return;
    const [data] = map;
    if (count === kept.height * kept.width) {
      kept.data = data;
      return;
    }
    kept.data ??= new Float32Array(kept.channels * kept.height * kept.width);
    const [top, left] = [scale * rows.first, scale * columns.first];
    for (let line = 0; line < kept.channels * height; line++) {
      const [channel, row] = [Math.floor(line / height), line % height];
      const to = (channel * kept.height + top + row) * kept.width + left;
      kept.data.set(data.subarray(line * width, (line + 1) * width), to);
    }
  }

  moments(name) {
    const {mean, squares, count} = this.kept[name];
    const std = Float32Array.from(squares, (sum) => Math.sqrt(sum / count + EPS));
    return {mean: Float32Array.from(mean), std};
  }

  /** The affine map that moves a map's moments to a style's, and how much noise is added. */
  modulation(name, targets, noiseGain) {
    const {mean, std} = this.moments(name);
    const [[gain], [bias]] = [targets[`${name}/gain`], targets[`${name}/bias`]];
    const scale = gain.map((value, c) => value / std[c]);
    const shift = bias.map((value, c) => value - mean[c] * scale[c]);
    const found = {[`${name}/scale`]: [scale, [scale.length]], [`${name}/shift`]: [shift, [shift.length]]};
    if (this.plan.maps[name].noise) {
      const noise = targets[`${name}/noise_std`][0].map((value) => noiseGain * value);
      found[`${name}/noise_std`] = [noise, [noise.length]];
    }
    return found;
  }

  /** A tile of an input: of the map itself, or of the pixels that it is made of; and of the noise. */
  tile(name, rows, columns, depth) {
    const kept = this.kept[name];
    const scale = 2 ** (depth - this.plan.maps[name].depth);
    const [top, left] = [scale * rows.start, scale * columns.start];
    const [height, width] = [rows, columns].map((window) => scale * (window.stop - window.start));
    const found = kept.stored
      ? {[name]: [this.#read(kept, top, left, height, width), [1, kept.channels, height, width]]}
      : {pixels: this.pixels(rows, columns, this.plan.fold * scale)};
    if (this.plan.maps[name].noise) {
      found[`${name}/noise`] = [noiseMap(top, left, height, width), [1, 1, height, width]];
    }
    return found;
  }

  #read(kept, top, left, height, width) {
    if (height === kept.height && width === kept.width) return kept.data;
    const data = new Float32Array(kept.channels * height * width);
    for (let line = 0; line < kept.channels * height; line++) {
      const [channel, row] = [Math.floor(line / height), line % height];
      const from = (channel * kept.height + top + row) * kept.width + left;
      data.set(kept.data.subarray(from, from + width), line * width);
    }
    return data;
  }

  /** RGB floats of a tile, mirrored beyond the image's lower and right end. */
  pixels(rows, columns, scale) {
    const {data, width, height} = this.image;
    const [top, left] = [scale * rows.start, scale * columns.start];
    const shape = [scale * (rows.stop - rows.start), scale * (columns.stop - columns.start), 3];
    const found = new Float32Array(shape[0] * shape[1] * 3);
    for (let row = 0, to = 0; row < shape[0]; row++) {
      const line = mirrored(top + row, height) * width;
      for (let column = 0; column < shape[1]; column++) {
        const from = 4 * (line + mirrored(left + column, width));
        found[to++] = data[from] / 255;
        found[to++] = data[from + 1] / 255;
        found[to++] = data[from + 2] / 255;
      }
    }
    return [found, shape];
  }

  /** Forgets maps that none of these stages reads. */
  release(stages) {
    const needed = new Set(stages.flatMap((stage) => [...stage.inputs, stage.fine]));
    for (const [name, kept] of Object.entries(this.kept)) if (!needed.has(name)) kept.data = null;
  }
}

function mirrored(place, length) {
  const within = place % (2 * (length - 1));
  return Math.min(within, 2 * (length - 1) - within);
}

/** Puts a tile's RGB floats into the painting, as 16 bits. */
function place([data, [height, width]], painted, image, top, left) {
  const right = Math.min(width, image.width - left);
  for (let row = 0; row < Math.min(height, image.height - top); row++) {
    let to = 3 * ((top + row) * image.width + left);
    for (let from = 3 * row * width; from < 3 * (row * width + right); from++) {
      painted[to++] = data[from] * 65535 + 0.5;
    }
  }
}

/** Cells of stylejax.models.noise_map: a pattern by a hash of each cell's number, beyond it times signs. */
function noiseMap(top, left, height, width) {
  PATTERN ??= Float32Array.from(hashed(NOISE_SIDE, 0), (value) => (value - 0.5) * Math.sqrt(12));
  SIGNS ??= hashed(SIGN_SIDE, NOISE_SIDE ** 2).map((value) => (value < 0.5 ? -1 : 1));
  const found = new Float32Array(height * width);
  for (let y = top, to = 0; y < top + height; y++) {
    const line = (y % NOISE_SIDE) * NOISE_SIDE;
    const signs = (y % SIGN_SIDE) * SIGN_SIDE;
    for (let x = left; x < left + width; x++) {
      const sign = y < NOISE_SIDE && x < NOISE_SIDE ? 1 : SIGNS[signs + (x % SIGN_SIDE)];
      found[to++] = sign * PATTERN[line + (x % NOISE_SIDE)];
    }
  }
  return found;
}

let PATTERN = null;
let SIGNS = null;

/** Numbers from 0 to 1 of side × side cells, counted from `first` on. */
function hashed(side, first) {
  return Array.from({length: side ** 2}, (_, cell) => {
    cell += first;
    for (const [shift, factor] of [[16, 0x7feb352d], [15, 0x846ca68b], [16, 1]]) {
      cell = Math.imul(cell ^ (cell >>> shift), factor) >>> 0;
    }
    return cell / 2 ** 32;
  });
}

/** Rows or columns that a tile reads, and those that come out right. */
class Window {
  constructor(start, stop, first, last) {
    Object.assign(this, {start, stop, first, last});
  }

  exactInTile(scale) {
    const ends = [this.first - this.start, this.last - this.start];
    return BigInt64Array.from(ends, (end) => BigInt(scale * end));
  }
}

/** Pairs of windows (rows, columns) that cover a map of [height, width]. */
function* tiles([height, width], side, halo) {
  for (const rows of windows(height, side + 2 * halo, halo)) {
    for (const columns of windows(width, side + 2 * halo, halo)) yield [rows, columns];
  }
}

/** Windows of one size, at most `size`, with `halo` wrong rows at a cut, that cover a length. */
function windows(length, size, halo) {
  if (length <= size) return [new Window(0, length, 0, length)];
  const read = (each) => each * Math.ceil((length - 2 * halo) / (each - 2 * halo));
  for (let part = 15; part > 11; part--) {
    const shorter = Math.floor((size * part) / 16);
    if (shorter > 2 * halo && read(shorter) < read(size)) size = shorter;
  }
  const found = [];
  for (let done = 0; done < length;) {
    const start = Math.min(Math.max(0, done - halo), length - size);
    const last = start + size === length ? length : start + size - halo;
    found.push(new Window(start, start + size, done, last));
    done = last;
  }
  return found;
}
