import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import { distances, least, moment, type Steps } from './ticks';
import css from './ui.module.css';

export interface Series {
  name: string;
  /** One for each moment; null where nothing was measured. */
  values: (number | null)[];
  /** 1 to 4: the chart colours of tokens.css. */
  colour: 1 | 2 | 3 | 4;
}

interface Props {
  label: string;
  /** Unix seconds, rising. */
  at: number[];
  series: Series[];
  format: (value: number) => string;
  /** What may stand between two marks of the axis; hundredths without. */
  steps?: Steps;
  /** The top of the axis at least: a limit. */
  top?: number;
  height?: number;
}

/** Figures over time. Who doesn't see it is told the newest ones. Load it lazily: it brings uPlot. */
export default function TimeChart({ label, at, series, format, steps = 'hundredths', top, height = 160 }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const shape = `${series.map((each) => `${each.name}${each.colour}`).join('|')}|${top ?? ''}|${height}`;
  const plot = useRef<uPlot | null>(null);
  const now = useRef({ at, series, format, steps });
  useEffect(() => {
    now.current = { at, series, format, steps };
  });
  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = make(host, now.current, top, height);
    };
    draw();
    const resize = new ResizeObserver(() => plot.current?.setSize({ width: host.clientWidth, height }));
    resize.observe(host);
    const scheme = new MutationObserver(draw);
    scheme.observe(document.documentElement, { attributeFilter: ['data-mantine-color-scheme'] });
    return () => {
      resize.disconnect();
      scheme.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, top, height]);
  useEffect(() => {
    plot.current?.setData([at, ...series.map((each) => each.values)]);
  }, [at, series]);
  const newest = series.map((each) => `${each.name} ${format(each.values.findLast((value) => value !== null) ?? 0)}`).join(', ');
  return (
    <figure className={css.chart}>
      <figcaption>
        <span>{label}</span>
        <span className="nums quiet">{newest}</span>
      </figcaption>
      <div ref={box} role="img" aria-label={`${label}: ${newest}`} style={{ height }} />
    </figure>
  );
}

function make(host: HTMLElement, data: Pick<Props, 'at' | 'series' | 'format'> & { steps: Steps }, top: number | undefined, height: number): uPlot {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--ink-3'), grid: { stroke: colour('--edge'), width: 1 }, ticks: { show: false }, font: `11px ${colour('--font')}` };
  return new uPlot(
    {
      width: host.clientWidth || 300,
      height,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { y: { range: (_, __, most) => [0, Math.max(top ?? 0, (most || 0) * 1.1, least[data.steps])] } },
      axes: [
        { ...axis, size: 28, space: 84, values: (_, ticks, __, ___, apart) => ticks.map((at) => moment(at, apart)) },
        { ...axis, size: 64, space: 32, incrs: distances[data.steps], values: (_, ticks) => ticks.map(data.format) },
      ],
      series: [
        {},
        ...data.series.map((each) => ({
          label: each.name,
          stroke: colour(`--chart-${each.colour}`),
          fill: `${colour(`--chart-${each.colour}`)}22`,
          width: 1.5,
          points: { show: false },
        })),
      ],
    },
    [data.at, ...data.series.map((each) => each.values)],
    host,
  );
}
