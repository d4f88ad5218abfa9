import { IconAlertTriangle, IconCircleCheck, IconCircleMinus, IconRefresh, type Icon } from '@tabler/icons-react';
import { Link } from 'wouter';
import { number, t, tAny } from '@/text';
import type { Line, Status } from './report';
import css from './image.module.css';

const signs: Record<Status, Icon> = { imported: IconCircleCheck, updated: IconRefresh, skipped: IconCircleMinus, refused: IconAlertTriangle };

/** What became of one file. */
export function ReportLine({ line }: { line: Line }) {
  const Shape = signs[line.status];
  const told = [
    ['image.reportChanges', line.changes ?? []],
    ['image.reportIgnored', line.ignored ?? []],
  ] as const;
  return (
    <li className={css.line}>
      <span className={css.status} data-status={line.status}>
        <Shape size={14} aria-hidden />
        {t(`image.status_${line.status}`)}
      </span>
      <div>
        <div className={css.lineHead}>
          {line.image_id ? <Link href={`/images/${line.image_id}`}>{line.name}</Link> : line.name && <strong>{line.name}</strong>}
          <span className="mono quiet">{line.file}</span>
        </div>
        {line.error && <p style={{ margin: 0 }}>{line.error}</p>}
        {told.map(
          ([title, what]) =>
            what.length > 0 && (
              <details key={title} open={title === 'image.reportChanges' && what.length < 4}>
                <summary className="quiet">
                  {t(title)}: {number(what.length)}
                </summary>
                <ul>
                  {what.map((each, at) => (
                    <li key={at}>{each}</li>
                  ))}
                </ul>
              </details>
            ),
        )}
      </div>
      <span className="quiet">{line.format && tAny(`image.format_${line.format}`, line.format)}</span>
    </li>
  );
}
