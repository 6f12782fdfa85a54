import com.google.protobuf.ByteString;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.kpl.Messages;

/** Amazon's side of `make interop`; README.md says what the files hold. */
public final class Interop {
    static final BigInteger MOST = BigInteger.ONE.shiftLeft(128).subtract(BigInteger.ONE);
    static final BigInteger HALF = BigInteger.ONE.shiftLeft(127);
    static final BigInteger QUARTER = BigInteger.ONE.shiftLeft(126);
    static final int EVENTS = 10_000;

    record Range(BigInteger start, BigInteger end) {
        static final Range FULL = new Range(BigInteger.ZERO, MOST);

        boolean contains(BigInteger hash) {
            return start.compareTo(hash) <= 0 && hash.compareTo(end) <= 0;
        }
    }

    record Capture(String key, Range range, byte[] data) {}

    /** An event as a reader finds it; sub is -1 and hash null where the record is the event. */
    record Event(int record, int sub, String key, String hash, byte[] data) {
        boolean same(Event other) {
            return record == other.record && sub == other.sub && key.equals(other.key)
                && Objects.equals(hash, other.hash) && Arrays.equals(data, other.data);
        }

        @Override
        public String toString() {
            return "record " + record + ", " + sub + ", key " + key + ", hash " + hash + ", " + data.length + " bytes";
        }
    }

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[1]);
        if (args[0].equals("write")) {
            long seed = Long.parseLong(args[2]);
            new Writer(seed).write(folder, "whole", seed);
            new Writer(seed).write(folder, "reshard", seed);
        } else if (!read(folder)) {
            System.exit(1);
        }
    }

    // Reading, by KCL.

    static boolean read(Path folder) throws IOException {
        List<Path> captures;
        try (Stream<Path> files = Files.list(folder)) {
            captures = files.filter(file -> file.toString().endsWith(".capture")).sorted().collect(Collectors.toList());
        }
        if (captures.isEmpty()) {
            throw new IllegalStateException("no capture in " + folder);
        }
        boolean fine = true;
        for (Path file : captures) {
            String name = file.getFileName().toString().replace(".capture", "");
            List<Capture> records = readCapture(file);
            List<Event> expected = readEvents(folder.resolve(name + ".events"));
            List<Event> found = deaggregate(records);
            int differs = -1;
            for (int nth = 0; nth < Math.max(found.size(), expected.size()) && differs < 0; nth++) {
                if (nth >= found.size() || nth >= expected.size() || !found.get(nth).same(expected.get(nth))) {
                    differs = nth;
                }
            }
            if (differs < 0) {
                System.out.printf("KCL read %s: %d events of %d records, all as expected%n", name, found.size(), records.size());
            } else {
                fine = false;
                System.err.printf("KCL read %s: event %d of %d (expected %d) differs:%n  found    %s%n  expected %s%n",
                    name, differs, found.size(), expected.size(),
                    differs < found.size() ? found.get(differs) : null, differs < expected.size() ? expected.get(differs) : null);
            }
        }
        return fine;
    }

    static List<Event> deaggregate(List<Capture> records) {
        AggregatorUtil util = new AggregatorUtil();
        List<Event> events = new ArrayList<>();
        for (int nth = 0; nth < records.size(); nth++) {
            Capture capture = records.get(nth);
            KinesisClientRecord record = KinesisClientRecord.builder()
                .sequenceNumber(Integer.toString(nth))
                .approximateArrivalTimestamp(Instant.EPOCH)
                .partitionKey(capture.key)
                .data(ByteBuffer.wrap(capture.data))
                .build();
            for (KinesisClientRecord found : util.deaggregate(List.of(record), capture.range.start, capture.range.end)) {
                byte[] data = new byte[found.data().remaining()];
                found.data().get(data);
                int sub = found.aggregated() ? (int) found.subSequenceNumber() : -1;
                events.add(new Event(nth, sub, found.partitionKey(), found.explicitHashKey(), data));
            }
        }
        return events;
    }

    // Writing, by KCL's own messages, as the KPL puts them together.

    static final class Writer {
        final Random random;
        final List<Capture> records = new ArrayList<>();
        /** All events, as they would be read without a filter. */
        final List<Event> made = new ArrayList<>();

        Writer(long seed) {
            random = new Random(seed);
        }

        void write(Path folder, String name, long seed) throws Exception {
            if (name.equals("whole")) {
                phase(EVENTS, List.of(Range.FULL), List.of(Range.FULL));
            } else {
                Range lowest = new Range(BigInteger.ZERO, QUARTER.subtract(BigInteger.ONE));
                Range low = new Range(QUARTER, HALF.subtract(BigInteger.ONE));
                Range upper = new Range(HALF, MOST);
                List<Range> halves = List.of(new Range(BigInteger.ZERO, low.end), upper);
                List<Range> split = List.of(lowest, low, upper);
                List<Range> merged = List.of(lowest, new Range(QUARTER, MOST));
                phase(EVENTS / 4, halves, halves);
                phase(EVENTS / 2, halves, split);
                phase(EVENTS * 3 / 4, split, split);
                phase(EVENTS, split, merged);
            }
            List<Capture> unfiltered = records.stream()
                .map(record -> new Capture(record.key, Range.FULL, record.data)).collect(Collectors.toList());
            List<Event> all = deaggregate(unfiltered);
            for (int nth = 0; nth < made.size(); nth++) {
                if (all.size() != made.size() || !all.get(nth).same(made.get(nth))) {
                    throw new IllegalStateException("KCL doesn't read what Java wrote: " + made.get(nth));
                }
            }
            List<Event> events = deaggregate(records);
            Files.createDirectories(folder);
            writeCapture(folder.resolve(name + ".capture"), records);
            writeEvents(folder.resolve(name + ".events"), events);
            System.out.printf("Java wrote %s: %d events in %d records, of which KCL reads %d (seed %d)%n",
                name, made.size(), records.size(), events.size(), seed);
        }

        /** The writer knows the shards `known`; `real` is where the records land. */
        void phase(int until, List<Range> known, List<Range> real) throws Exception {
            while (made.size() < until) {
                Range shard = known.get(random.nextInt(known.size()));
                int len = switch (random.nextInt(3)) { case 0 -> 1; case 1 -> 2 + random.nextInt(8); default -> 2 + random.nextInt(198); };
                String oneKey = random.nextInt(10) < 4 ? key(shard) : null;
                // No explicit hash keys, some, or one for every event, as other aggregators give.
                int hashed = new int[] {0, 20, 100}[random.nextInt(3)];
                List<Event> batch = new ArrayList<>();
                for (int nth = 0; nth < len; nth++) {
                    String key = oneKey == null ? key(shard) : oneKey;
                    String hash = random.nextInt(100) < hashed ? hash(shard) : null;
                    batch.add(new Event(0, nth, key, hash, payload()));
                }
                if (len == 1) {
                    alone(batch.get(0), real);
                } else {
                    together(batch, real);
                }
            }
        }

        void alone(Event event, List<Range> real) throws Exception {
            made.add(new Event(records.size(), -1, event.key, null, event.data));
            records.add(new Capture(event.key, carrier(real, effective(event)), event.data));
        }

        /** The record's own key is a short one, and its place that of its first event; some events have tags. */
        void together(List<Event> batch, List<Range> real) throws Exception {
            Messages.AggregatedRecord.Builder message = Messages.AggregatedRecord.newBuilder();
            Map<String, Integer> keys = new LinkedHashMap<>();
            Map<String, Integer> hashes = new LinkedHashMap<>();
            int sub = 0;
            for (Event event : batch) {
                Messages.Record.Builder record = Messages.Record.newBuilder().setData(ByteString.copyFrom(event.data));
                record.setPartitionKeyIndex(keys.computeIfAbsent(event.key, key -> keys.size()));
                if (event.hash != null) {
                    record.setExplicitHashKeyIndex(hashes.computeIfAbsent(event.hash, hash -> hashes.size()));
                }
                if (random.nextInt(20) == 0) {
                    record.addTags(Messages.Tag.newBuilder().setKey("tag").setValue("ключ"));
                }
                message.addRecords(record);
                made.add(new Event(records.size(), sub++, event.key, event.hash, event.data));
            }
            message.addAllPartitionKeyTable(keys.keySet()).addAllExplicitHashKeyTable(hashes.keySet());
            byte[] body = message.build().toByteArray();
            ByteArrayOutputStream data = new ByteArrayOutputStream();
            data.write(AggregatorUtil.AGGREGATED_RECORD_MAGIC);
            data.write(body);
            data.write(MessageDigest.getInstance("MD5").digest(body));
            records.add(new Capture("a", carrier(real, effective(batch.get(0))), data.toByteArray()));
        }

        String key(Range shard) throws Exception {
            while (true) {
                int nth = random.nextInt(2_000);
                String key = switch (nth % 4) {
                    case 0 -> "user-" + nth;
                    case 1 -> "ключ-" + nth;
                    case 2 -> "💡" + "x".repeat(nth % 250) + "-" + nth;
                    default -> "k".repeat(1 + nth % 256);
                };
                if (shard.contains(md5(key))) {
                    return key;
                }
            }
        }

        String hash(Range shard) {
            while (true) {
                BigInteger hash = new BigInteger(128, random);
                if (shard.contains(hash)) {
                    return hash.toString();
                }
            }
        }

        byte[] payload() {
            int kind = random.nextInt(500);
            int most = kind == 0 ? 200_000 : kind < 20 ? 20_000 : kind < 140 ? 2_000 : 200;
            byte[] payload = new byte[random.nextInt(most + 1)];
            random.nextBytes(payload);
            return payload;
        }
    }

    static Range carrier(List<Range> shards, BigInteger hash) {
        return shards.stream().filter(shard -> shard.contains(hash)).findFirst().orElseThrow();
    }

    static BigInteger effective(Event event) throws Exception {
        return event.hash == null ? md5(event.key) : new BigInteger(event.hash);
    }

    static BigInteger md5(String key) throws Exception {
        return new BigInteger(1, MessageDigest.getInstance("MD5").digest(key.getBytes(StandardCharsets.UTF_8)));
    }

    // The files.

    static void writeCapture(Path path, List<Capture> records) throws IOException {
        try (DataOutputStream out = new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(path)))) {
            for (Capture record : records) {
                put(out, record.key.getBytes(StandardCharsets.UTF_8));
                put128(out, record.range.start);
                put128(out, record.range.end);
                put(out, record.data);
            }
        }
    }

    static void writeEvents(Path path, List<Event> events) throws IOException {
        try (DataOutputStream out = new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(path)))) {
            for (Event event : events) {
                out.writeInt(event.record);
                out.writeInt(event.sub);
                put(out, event.key.getBytes(StandardCharsets.UTF_8));
                put(out, event.hash == null ? new byte[0] : event.hash.getBytes(StandardCharsets.UTF_8));
                put(out, event.data);
            }
        }
    }

    static List<Capture> readCapture(Path path) throws IOException {
        ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(path));
        List<Capture> records = new ArrayList<>();
        while (in.hasRemaining()) {
            records.add(new Capture(text(in), new Range(take128(in), take128(in)), take(in, in.getInt())));
        }
        return records;
    }

    static List<Event> readEvents(Path path) throws IOException {
        ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(path));
        List<Event> events = new ArrayList<>();
        while (in.hasRemaining()) {
            int record = in.getInt();
            int sub = in.getInt();
            String key = text(in);
            String hash = text(in);
            events.add(new Event(record, sub, key, hash.isEmpty() ? null : hash, take(in, in.getInt())));
        }
        return events;
    }

    static void put(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    static void put128(DataOutputStream out, BigInteger value) throws IOException {
        byte[] bytes = value.toByteArray();
        for (int nth = 16; nth > 0; nth--) {
            out.write(nth > bytes.length ? 0 : bytes[bytes.length - nth]);
        }
    }

    static byte[] take(ByteBuffer in, int len) {
        byte[] bytes = new byte[len];
        in.get(bytes);
        return bytes;
    }

    static String text(ByteBuffer in) {
        return new String(take(in, in.getInt()), StandardCharsets.UTF_8);
    }

    static BigInteger take128(ByteBuffer in) {
        return new BigInteger(1, take(in, 16));
    }
}
