/**
 * A small picture of the patches beside a chart: values as colours, some cells lit, the focused cell outlined.
 * Hovering it hovers the patch everywhere.
 */
(() => {
  "use strict";

  /** The frame {x, y, width, height} of a grid inside a box, with square patches. */
  function fit(box, grid) {
    const cell = Math.min(box.width / grid[1], box.height / grid[0]);
    const [width, height] = [cell * grid[1], cell * grid[0]];
    return { x: box.x + (box.width - width) / 2, y: box.y + (box.height - height) / 2, width, height };
  }

  /** The picture, grey values kept, with heat = {values, grid, scale} over it. */
  function drawBase(ctx, frame, image, heat) {
    HS.drawPicture(ctx, frame, image, false);
    if (heat) HS.drawHeat(ctx, frame, heat, 0.85);
  }

  /** Everything but the given cells darkened, so that they stand out. */
  function lightUp(ctx, frame, grid, cells) {
    HS.drawVeil(ctx, frame, cells.map((cell) => HS.cellRect(frame, grid, cell)), 0.72);
    if (cells.length > 64) return;
    ctx.strokeStyle = HS.MEANING.focus;
    ctx.lineWidth = 1;
    for (const cell of cells) {
      const [x, y, w, h] = HS.cellRect(frame, grid, cell);
      ctx.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
    }
  }

  /** Outline of one cell, thin enough for a small picture. */
  function mark(ctx, frame, grid, cell, colour = HS.MEANING.focus) {
    const [x, y, w, h] = HS.cellRect(frame, grid, cell);
    const grow = Math.max(0, (6 - w) / 2);
    HS.drawCell(ctx, [x - grow, y - grow, w + 2 * grow, h + 2 * grow], colour, 1.5);
  }

  /** Colour bar with the values of its two ends below it. */
  function legend(ctx, x, y, width, map, ends, c) {
    for (let i = 0; i < width; i++) {
      ctx.fillStyle = HS.ramp(map, i / (width - 1));
      ctx.fillRect(x + i, y, 1.5, 6);
    }
    HS.chart.text(ctx, ends[0], x, y + 9, c.muted, "left", "top");
    HS.chart.text(ctx, ends[1], x + width, y + 9, c.muted, "right", "top");
  }

  HS.minimap = { fit, drawBase, lightUp, mark, legend };
})();
