import { useQuery } from '@tanstack/react-query';
import { useCallback, useState, type ReactNode } from 'react';
import { call, keys, useLiveStats, type LiveStats } from '@/api';
import { mebibytes, t } from '@/text';
import { CopyField, Facts, RelativeTime, Section } from '@/ui';
import type { Figures } from './figures';
import { connectAddress, may, type Instance } from './model';
import { CpuMeter, DiskMeter, MemoryMeter } from './Usage';
import css from './instance.module.css';

/** Figures of one instance: the newest there are, then each second. */
export function useNewestFigures(id: string): Figures | undefined {
  const [live, setLive] = useState<Figures>();
  const sink = useCallback((stats: LiveStats) => setLive(stats as unknown as Figures), []);
  useLiveStats('instances', id, sink);
  const first = useQuery({
    queryKey: keys.instances(id, 'stats'),
    queryFn: ({ signal }) => call('get', '/api/v1/instances/{id}/stats', { path: { id }, signal }),
    retry: false,
  });
  return live ?? first.data;
}

/** The first page of an instance: its console, and beside it where it is and what it uses. */
export function Overview({ instance, children }: { instance: Instance; children?: ReactNode }) {
  const figures = useNewestFigures(instance.id);
  const host = useHost(instance);
  const address = connectAddress(instance.ports, host);
  return (
    <div className={css.overview} data-alone={children ? undefined : true}>
      {children && <div>{children}</div>}
      <div>
        <Section title={t('instance.use')}>
          <div className={css.meters}>
            <div>
              <div className={css.meterName}>{t('common.cpu')}</div>
              <CpuMeter instance={instance} figures={figures} />
            </div>
            <div>
              <div className={css.meterName}>{t('common.memory')}</div>
              <MemoryMeter instance={instance} figures={figures} />
            </div>
            <div>
              <div className={css.meterName}>{t('common.disk')}</div>
              <DiskMeter instance={instance} figures={figures} />
            </div>
          </div>
        </Section>
        {address && (
          <Section title={t('instance.connect')}>
            <CopyField text={address} label={t('instance.connect')} wrap />
          </Section>
        )}
        <Section title={t('common.details')}>
          <div className={css.facts}>
          <Facts
            of={[
              [t('instance.image'), instance.reference],
              [t('instance.id'), <span key="id" className="mono">{instance.id}</span>],
              [t('common.memory'), mebibytes(instance.memory)],
              [t('common.disk'), mebibytes(instance.disk)],
              [t('instance.since'), instance.actual === 'running' && instance.started_at && <RelativeTime at={instance.started_at} />],
              [t('common.created'), <RelativeTime key="at" at={instance.created_at} />],
            ]}
          />
          </div>
        </Section>
      </div>
    </div>
  );
}

/** The node's name for people. */
export function useHost(instance: Instance): string {
  const told = (instance as { host?: string }).host;
  const sftp = useQuery({
    queryKey: keys.instances(instance.id, 'sftp'),
    queryFn: ({ signal }) => call('get', '/api/v1/instances/{id}/sftp', { path: { id: instance.id }, signal }),
    enabled: !told && may(instance, 'sftp'),
    retry: false,
    staleTime: 300_000,
  });
  return told ?? (sftp.data?.via === 'node' ? sftp.data.host : '') ?? '';
}
