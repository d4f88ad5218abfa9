import { Anchor, Button, Group, Progress, Stack, TextInput } from '@mantine/core';
import { IconFileImport, IconUpload } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useRef, useState, type DragEvent } from 'react';
import { Link } from 'wouter';
import { call, keys } from '@/api';
import { number, t } from '@/text';
import { CopyButton, EmptyState, ErrorNotice, Filters, Form, FormEnd, PageHeader, SearchField, Section, useSubmit } from '@/ui';
import { calls, chosen, dropped, held, worthReading, type Picked } from './picked';
import { ReportLine } from './ReportLine';
import { asTable, counted, narrowed, statuses, type Line, type Status } from './report';
import css from './image.module.css';

interface Run {
  done: number;
  total: number;
  lines: Line[];
  /** What broke it off. */
  error?: unknown;
  over: boolean;
}

/** Brings definitions in: files, a folder, an address; then what became of each. */
export default function ImportPage() {
  const [run, setRun] = useState<Run>();
  const client = useQueryClient();
  const busy = run !== undefined && !run.over;
  const begin = async (picked: readonly Picked[]) => {
    if (busy || picked.length === 0) return;
    let now: Run = { done: 0, total: picked.length, lines: [], over: false };
    const step = (change: Partial<Run>) => setRun((now = { ...now, ...change }));
    step({});
    const worth = picked.map((each) => [each, worthReading(each)] as const);
    const left = worth.filter(([, is]) => is !== 'yes').map(([{ name }, is]): Line => ({ file: name, status: is === 'large' ? 'refused' : 'skipped', format: '', name: '', changes: [], ignored: [], error: t(is === 'large' ? 'image.importLarge' : 'image.importOther') }));
    step({ lines: left, done: left.length });
    try {
      for (const part of calls(worth.filter(([, is]) => is === 'yes').map(([each]) => each))) {
        const files = await Promise.all(part.map(async ({ name, file }) => ({ name, ...(await held(file)) })));
        const before = now.lines.flatMap((line) => line.image_id ?? []);
        const report = await call('post', '/api/v1/images/import', { body: { files, ...(before.length > 0 ? { apart_from: before } : {}) } });
        step({ lines: [...now.lines, ...(report.files ?? [])], done: now.done + part.length });
      }
      step({ over: true });
    } catch (error) {
      step({ error, over: true });
    }
    await client.invalidateQueries({ queryKey: keys.images() });
  };
  const took = (lines: Line[]) => {
    setRun({ done: lines.length, total: lines.length, lines, over: true });
    void client.invalidateQueries({ queryKey: keys.images() });
  };
  return (
    <>
      <PageHeader
        title={t('image.importTitle')}
        crumb={
          <Anchor component={Link} href="/images">
            {t('image.title')}
          </Anchor>
        }
      />
      <Section>
        <Stack gap="lg">
          <Drop busy={busy} take={(picked) => void begin(picked)} />
          <ByAddress busy={busy} took={took} />
        </Stack>
      </Section>
      {run && <Report run={run} />}
    </>
  );
}

function Drop({ busy, take }: { busy: boolean; take: (picked: Picked[]) => void }) {
  const [over, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const drop = (e: DragEvent) => {
    e.preventDefault();
    setOver(false);
    if (!busy) void dropped(e.dataTransfer.items).then(take);
  };
  const input = (ref: typeof files, label: string, more: object) => (
    <input
      ref={ref}
      type="file"
      multiple
      hidden
      aria-label={label}
      {...more}
      onChange={(e) => {
        const picked = chosen(e.currentTarget.files ?? []);
        e.currentTarget.value = '';
        take(picked);
      }}
    />
  );
  return (
    <div
      className={css.drop}
      data-over={over || undefined}
      role="group"
      aria-label={t('image.importDrop')}
      onDragOver={(e) => {
        e.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <IconUpload size={32} stroke={1.25} aria-hidden />
      <p>
        <strong>{t('image.importDrop')}</strong>
      </p>
      <p className="quiet">{t('image.importHint')}</p>
      <Group gap="xs" justify="center">
        <Button disabled={busy} variant="filled" onClick={() => files.current?.click()}>
          {t('image.importFiles')}
        </Button>
        <Button disabled={busy} onClick={() => folder.current?.click()}>
          {t('image.importFolder')}
        </Button>
      </Group>
      {input(files, t('image.importFiles'), { accept: '.json,.yaml,.yml' })}
      {input(folder, t('image.importFolder'), { webkitdirectory: '' })}
    </div>
  );
}

function ByAddress({ busy, took }: { busy: boolean; took: (lines: Line[]) => void }) {
  const [url, setUrl] = useState('');
  const submit = useSubmit(async () => {
    const report = await call('post', '/api/v1/images/import', { body: { url: url.trim() } });
    took(report.files ?? []);
  }, ['url']);
  return (
    <Form run={submit.run}>
      <TextInput label={t('image.importUrl')} description={t('image.importUrlHint')} type="url" placeholder="https://" value={url} error={submit.of('url')} onChange={(e) => setUrl(e.currentTarget.value)} />
      <FormEnd submit={submit} disabled={busy || url.trim() === ''} apart>
        {t('image.import')}
      </FormEnd>
    </Form>
  );
}

function Report({ run }: { run: Run }) {
  const [status, setStatus] = useState<Status | ''>('');
  const [search, setSearch] = useState('');
  const counts = counted(run.lines);
  const shown = narrowed(run.lines, status, search);
  return (
    <Section
      title={t('image.report')}
      hint={
        <span role="status">
          {statuses.filter((each) => counts[each] > 0).map((each) => `${t(`image.status_${each}`)}: ${number(counts[each])}`).join(' · ')}
        </span>
      }
      flush
      actions={run.over && <CopyButton text={asTable(shown)} label={t('image.reportCopy')} />}
    >
      {!run.over && <Progress m="md" size="sm" value={(run.done / run.total) * 100} aria-label={t('image.importing', { done: run.done, total: run.total })} />}
      {run.error !== undefined && (
        <div style={{ padding: 'var(--s4)' }}>
          <ErrorNotice error={run.error} />
          <p className="quiet">{t('image.importBroken', { done: run.done, total: run.total })}</p>
        </div>
      )}
      {run.lines.length > 1 && (
        <Filters>
          <div className={css.statuses} role="group" aria-label={t('image.reportStatus')}>
            {(['', ...statuses] as const).map((each) => (
              <Button key={each} size="xs" aria-pressed={status === each} variant={status === each ? 'light' : 'default'} onClick={() => setStatus(each)}>
                {each === '' ? t('common.all') : t(`image.status_${each}`)} {number(each === '' ? run.lines.length : counts[each])}
              </Button>
            ))}
          </div>
          <SearchField value={search} onChange={setSearch} />
        </Filters>
      )}
      {shown.length === 0 && run.over ? (
        <EmptyState icon={IconFileImport} title={t('common.nothingFound')} />
      ) : (
        <ul className={css.report} aria-label={t('image.report')}>
          {shown.slice(0, 500).map((line, at) => (
            <ReportLine key={`${line.file} ${at}`} line={line} />
          ))}
        </ul>
      )}
      {shown.length > 500 && <p className="quiet" style={{ padding: '0 var(--s4)' }}>{t('image.reportMore', { count: shown.length - 500 })}</p>}
    </Section>
  );
}
