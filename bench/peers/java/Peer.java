import com.amazonaws.encryptionsdk.AwsCrypto;
import com.amazonaws.encryptionsdk.CommitmentPolicy;
import com.amazonaws.encryptionsdk.CryptoAlgorithm;
import com.amazonaws.encryptionsdk.jce.JceMasterKey;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import javax.crypto.spec.SecretKeySpec;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.protocols.jsoncore.JsonWriter;

/** The AWS Encryption SDK for Java, timing itself: see bench/support/peer-process.ts for what it is asked. */
public final class Peer {
  private static AwsCrypto client;
  private static JceMasterKey masterKey;
  private static byte[] plaintext;
  private static byte[] message;

  public static void main(String[] arguments) throws IOException {
    var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      System.out.println(new String(answer(JsonNode.parser().parse(line)), StandardCharsets.UTF_8));
      System.out.flush();
    }
  }

  private static byte[] answer(JsonNode request) {
    var answer = JsonWriter.create().writeStartObject();
    answer.writeFieldName("id").writeNumber(request.field("id").orElseThrow().asNumber());
    try {
      answer.writeFieldName("seconds").writeNumber(String.valueOf(seconds(request)));
    } catch (Exception | Error error) {
      answer.writeFieldName("error").writeValue(error.toString());
    }
    return answer.writeEndObject().getBytes();
  }

  private static double seconds(JsonNode request) throws IOException {
    var operation = text(request, "operation");
    if (operation.equals("prepare")) {
      prepare(request);
      return 0;
    }
    long start = System.nanoTime();
    var output = operation.equals("encrypt") ? encrypt() : decrypt(message);
    double seconds = (System.nanoTime() - start) / 1e9;
    if (output.length < plaintext.length) throw new IllegalStateException("too short");
    return seconds;
  }

  private static void prepare(JsonNode request) throws IOException {
    var suite = suiteOf(number(request, "suite"));
    var policy =
        suite.isCommitting() ? CommitmentPolicy.RequireEncryptRequireDecrypt : CommitmentPolicy.ForbidEncryptAllowDecrypt;
    client =
        AwsCrypto.builder()
            .withCommitmentPolicy(policy)
            .withEncryptionAlgorithm(suite)
            .withEncryptionFrameSize(number(request, "frameLength"))
            .build();
    var key = new SecretKeySpec(Base64.getDecoder().decode(text(request, "wrappingKey")), "AES");
    masterKey =
        JceMasterKey.getInstance(key, text(request, "keyNamespace"), text(request, "keyName"), "AES/GCM/NoPadding");
    plaintext = Files.readAllBytes(Path.of(text(request, "plaintext")));
    if (!Arrays.equals(decrypt(Files.readAllBytes(Path.of(text(request, "read")))), plaintext)) {
      throw new IllegalStateException("another plaintext");
    }
    message = encrypt();
    Files.write(Path.of(text(request, "write")), message);
  }

  private static byte[] encrypt() {
    return client.encryptData(masterKey, plaintext).getResult();
  }

  private static byte[] decrypt(byte[] ciphertext) {
    return client.decryptData(masterKey, ciphertext).getResult();
  }

  private static CryptoAlgorithm suiteOf(int id) {
    return Arrays.stream(CryptoAlgorithm.values()).filter(suite -> suite.getValue() == (short) id).findFirst().orElseThrow();
  }

  private static String text(JsonNode request, String name) {
    return request.field(name).orElseThrow().asString();
  }

  private static int number(JsonNode request, String name) {
    return Integer.parseInt(request.field(name).orElseThrow().asNumber());
  }
}
