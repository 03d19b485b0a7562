import com.amazonaws.encryptionsdk.AwsCrypto;
import com.amazonaws.encryptionsdk.CommitmentPolicy;
import com.amazonaws.encryptionsdk.CryptoAlgorithm;
import com.amazonaws.encryptionsdk.CryptoResult;
import com.amazonaws.encryptionsdk.MasterKeyProvider;
import com.amazonaws.encryptionsdk.jce.JceMasterKey;
import com.amazonaws.encryptionsdk.kms.DiscoveryFilter;
import com.amazonaws.encryptionsdk.kmssdkv2.AwsKmsMrkAwareMasterKeyProvider;
import com.amazonaws.encryptionsdk.kmssdkv2.KmsMasterKeyProvider;
import com.amazonaws.encryptionsdk.multi.MultipleProviderFactory;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import javax.crypto.spec.SecretKeySpec;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.protocols.jsoncore.JsonWriter;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.cryptography.materialproviders.IClientSupplier;
import software.amazon.cryptography.materialproviders.IKeyring;
import software.amazon.cryptography.materialproviders.MaterialProviders;
import software.amazon.cryptography.materialproviders.model.AesWrappingAlg;
import software.amazon.cryptography.materialproviders.model.CreateAwsKmsDiscoveryKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateAwsKmsDiscoveryMultiKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateAwsKmsKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateAwsKmsMrkDiscoveryMultiKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateAwsKmsMrkMultiKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateAwsKmsMultiKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateMultiKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateRawAesKeyringInput;
import software.amazon.cryptography.materialproviders.model.CreateRawRsaKeyringInput;
import software.amazon.cryptography.materialproviders.model.MaterialProvidersConfig;
import software.amazon.cryptography.materialproviders.model.PaddingScheme;

/**
 * The AWS Encryption SDK for Java, with its master keys and with the keyrings of the AWS Cryptographic Material Providers
 * Library (MPL): one JSON request a line on stdin, one JSON answer a line on stdout.
 *
 * <pre>
 * Request: {"id", "operation": "encrypt" | "decrypt", "suite", "keys": {"type": a case of keysOf, and what it takes},
 *           "data": base64}, and to encrypt "frameLength" (0: non-framed) and "encryptionContext"
 * Answer:  {"id", "data": base64, "encryptionContext": {...}} or {"id", "error": text}
 * </pre>
 *
 * AWS KMS is at AWS_ENDPOINT_URL; credentials are those of the environment.
 */
public final class JavaPeer {
  private static final String ENDPOINT = System.getenv("AWS_ENDPOINT_URL");
  private static final MaterialProviders MPL =
      MaterialProviders.builder().MaterialProvidersConfig(MaterialProvidersConfig.builder().build()).build();
  private static final Map<Region, KmsClient> CLIENTS = new ConcurrentHashMap<>();

  private static final IClientSupplier SUPPLIER = asked -> clientOf(Region.of(asked.region()));

  /** Making keys takes longer than many messages, so that each is kept: an IKeyring or a MasterKeyProvider. */
  private static final Map<JsonNode, Object> KNOWN_KEYS = new HashMap<>();

  public static void main(String[] arguments) throws IOException {
    var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (var output = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8)) {
      for (String line = input.readLine(); line != null; line = input.readLine()) {
        output.println(new String(answer(JsonNode.parser().parse(line)), StandardCharsets.UTF_8));
      }
    }
  }

  private static byte[] answer(JsonNode request) {
    var answer = JsonWriter.create().writeStartObject();
    answer.writeFieldName("id").writeNumber(request.field("id").orElseThrow().asNumber());
    try {
      var result = message(request);
      answer.writeFieldName("data").writeValue(Base64.getEncoder().encodeToString(result.getResult()));
      answer.writeFieldName("encryptionContext").writeStartObject();
      new TreeMap<>(result.getEncryptionContext()).forEach((name, value) -> answer.writeFieldName(name).writeValue(value));
      answer.writeEndObject();
    } catch (Exception | Error error) {
      answer.writeFieldName("error").writeValue(error.toString());
    }
    return answer.writeEndObject().getBytes();
  }

  private static CryptoResult<byte[], ?> message(JsonNode request) throws GeneralSecurityException {
    var suite = suiteOf(number(request, "suite"));
    var policy =
        suite.isCommitting() ? CommitmentPolicy.RequireEncryptRequireDecrypt : CommitmentPolicy.ForbidEncryptAllowDecrypt;
    var client = AwsCrypto.builder().withCommitmentPolicy(policy);
    var keys = keysOf(request.field("keys").orElseThrow());
    var data = bytes(request, "data");
    if (text(request, "operation").equals("decrypt")) {
      return keys instanceof IKeyring keyring
          ? client.build().decryptData(keyring, data)
          : client.build().decryptData((MasterKeyProvider<?>) keys, data);
    }
    client.withEncryptionAlgorithm(suite);
    client.withEncryptionFrameSize(number(request, "frameLength"));
    var context = new HashMap<String, String>();
    var pairs = request.field("encryptionContext").orElseThrow().asObject();
    pairs.forEach((name, value) -> context.put(name, value.asString()));
    return keys instanceof IKeyring keyring
        ? client.build().encryptData(keyring, data, context)
        : client.build().encryptData((MasterKeyProvider<?>) keys, data, context);
  }

  private static CryptoAlgorithm suiteOf(int id) {
    return Arrays.stream(CryptoAlgorithm.values()).filter(suite -> suite.getValue() == (short) id).findFirst().orElseThrow();
  }

  private static Object keysOf(JsonNode keys) throws GeneralSecurityException {
    var known = KNOWN_KEYS.get(keys);
    if (known != null) return known;
    var made =
        switch (text(keys, "type")) {
          case "jce-aes" -> jceAes(keys);
          case "jce-rsa" -> jceRsa(keys);
          case "providers" -> providers(keys);
          case "kms-provider" -> kmsProvider(keys);
          case "kms-mrk-provider" -> kmsMrkProvider(keys);
          case "raw-aes" -> rawAes(keys);
          case "raw-rsa" -> rawRsa(keys);
          case "multi" -> multi(keys);
          case "kms" -> kms(keys);
          case "kms-discovery" -> kmsDiscovery(keys);
          case "kms-multi" -> kmsMulti(keys);
          case "kms-mrk-multi" -> kmsMrkMulti(keys);
          case "kms-discovery-multi" -> kmsDiscoveryMulti(keys);
          case "kms-mrk-discovery-multi" -> kmsMrkDiscoveryMulti(keys);
          default -> throw new IllegalArgumentException("unknown type of keys");
        };
    KNOWN_KEYS.put(keys, made);
    return made;
  }

  // Master keys and their providers

  private static JceMasterKey jceAes(JsonNode keys) {
    var key = new SecretKeySpec(bytes(keys, "wrappingKey"), "AES");
    return JceMasterKey.getInstance(key, text(keys, "keyNamespace"), text(keys, "keyName"), "AES/GCM/NoPadding");
  }

  private static JceMasterKey jceRsa(JsonNode keys) throws GeneralSecurityException {
    var factory = KeyFactory.getInstance("RSA");
    PublicKey publicKey = factory.generatePublic(new X509EncodedKeySpec(der(text(keys, "publicKey"))));
    PrivateKey privateKey = factory.generatePrivate(new PKCS8EncodedKeySpec(der(text(keys, "privateKey"))));
    return JceMasterKey.getInstance(
        publicKey, privateKey, text(keys, "keyNamespace"), text(keys, "keyName"), text(keys, "transformation"));
  }

  private static MasterKeyProvider<?> providers(JsonNode keys) throws GeneralSecurityException {
    var providers = new ArrayList<MasterKeyProvider<?>>();
    for (var provider : keys.field("providers").orElseThrow().asArray()) {
      providers.add((MasterKeyProvider<?>) keysOf(provider));
    }
    return MultipleProviderFactory.buildMultiProvider(providers);
  }

  /** With "keyIds" it is strict; without, it discovers. */
  private static MasterKeyProvider<?> kmsProvider(JsonNode keys) {
    var builder = KmsMasterKeyProvider.builder().customRegionalClientSupplier(JavaPeer::clientOf);
    if (keys.field("keyIds").isPresent()) return builder.buildStrict(texts(keys, "keyIds"));
    return filterOf(keys).map(builder::buildDiscovery).orElseGet(builder::buildDiscovery);
  }

  private static MasterKeyProvider<?> kmsMrkProvider(JsonNode keys) {
    var builder = AwsKmsMrkAwareMasterKeyProvider.builder().customRegionalClientSupplier(JavaPeer::clientOf);
    if (keys.field("keyIds").isPresent()) return builder.buildStrict(texts(keys, "keyIds"));
    builder.discoveryMrkRegion(Region.of(text(keys, "region")));
    return filterOf(keys).map(builder::buildDiscovery).orElseGet(builder::buildDiscovery);
  }

  private static Optional<DiscoveryFilter> filterOf(JsonNode keys) {
    return keys.field("accounts").map(all -> new DiscoveryFilter(text(keys, "partition"), texts(keys, "accounts")));
  }

  // Keyrings

  private static IKeyring rawAes(JsonNode keys) {
    var wrappingKey = bytes(keys, "wrappingKey");
    return MPL.CreateRawAesKeyring(
        CreateRawAesKeyringInput.builder()
            .keyNamespace(text(keys, "keyNamespace"))
            .keyName(text(keys, "keyName"))
            .wrappingKey(ByteBuffer.wrap(wrappingKey))
            .wrappingAlg(AesWrappingAlg.valueOf("ALG_AES" + wrappingKey.length * 8 + "_GCM_IV12_TAG16"))
            .build());
  }

  private static IKeyring rawRsa(JsonNode keys) {
    return MPL.CreateRawRsaKeyring(
        CreateRawRsaKeyringInput.builder()
            .keyNamespace(text(keys, "keyNamespace"))
            .keyName(text(keys, "keyName"))
            .paddingScheme(PaddingScheme.valueOf(text(keys, "paddingScheme")))
            .publicKey(StandardCharsets.US_ASCII.encode(text(keys, "publicKey")))
            .privateKey(StandardCharsets.US_ASCII.encode(text(keys, "privateKey")))
            .build());
  }

  private static IKeyring multi(JsonNode keys) throws GeneralSecurityException {
    var input = CreateMultiKeyringInput.builder();
    var generator = keys.field("generator");
    if (generator.isPresent()) input.generator((IKeyring) keysOf(generator.get()));
    var children = new ArrayList<IKeyring>();
    for (var child : keys.field("children").orElseThrow().asArray()) children.add((IKeyring) keysOf(child));
    return MPL.CreateMultiKeyring(input.childKeyrings(children).build());
  }

  private static IKeyring kms(JsonNode keys) {
    var input = CreateAwsKmsKeyringInput.builder().kmsKeyId(text(keys, "keyId"));
    return MPL.CreateAwsKmsKeyring(input.kmsClient(clientOf(Region.of(text(keys, "region")))).build());
  }

  private static IKeyring kmsDiscovery(JsonNode keys) {
    var input = CreateAwsKmsDiscoveryKeyringInput.builder().kmsClient(clientOf(Region.of(text(keys, "region"))));
    mplFilterOf(keys).ifPresent(input::discoveryFilter);
    return MPL.CreateAwsKmsDiscoveryKeyring(input.build());
  }

  private static IKeyring kmsMulti(JsonNode keys) {
    var input = CreateAwsKmsMultiKeyringInput.builder().kmsKeyIds(texts(keys, "keyIds"));
    keys.field("generator").ifPresent(generator -> input.generator(generator.asString()));
    return MPL.CreateAwsKmsMultiKeyring(input.clientSupplier(SUPPLIER).build());
  }

  private static IKeyring kmsMrkMulti(JsonNode keys) {
    var input = CreateAwsKmsMrkMultiKeyringInput.builder().kmsKeyIds(texts(keys, "keyIds"));
    keys.field("generator").ifPresent(generator -> input.generator(generator.asString()));
    return MPL.CreateAwsKmsMrkMultiKeyring(input.clientSupplier(SUPPLIER).build());
  }

  private static IKeyring kmsDiscoveryMulti(JsonNode keys) {
    var input = CreateAwsKmsDiscoveryMultiKeyringInput.builder().regions(texts(keys, "regions"));
    mplFilterOf(keys).ifPresent(input::discoveryFilter);
    input.clientSupplier(SUPPLIER);
    return MPL.CreateAwsKmsDiscoveryMultiKeyring(input.build());
  }

  private static IKeyring kmsMrkDiscoveryMulti(JsonNode keys) {
    var input = CreateAwsKmsMrkDiscoveryMultiKeyringInput.builder().regions(texts(keys, "regions"));
    mplFilterOf(keys).ifPresent(input::discoveryFilter);
    input.clientSupplier(SUPPLIER);
    return MPL.CreateAwsKmsMrkDiscoveryMultiKeyring(input.build());
  }

  private static Optional<software.amazon.cryptography.materialproviders.model.DiscoveryFilter> mplFilterOf(JsonNode keys) {
    var filter = software.amazon.cryptography.materialproviders.model.DiscoveryFilter.builder();
    return keys.field("accounts")
        .map(all -> filter.partition(text(keys, "partition")).accountIds(texts(keys, "accounts")).build());
  }

  private static KmsClient clientOf(Region region) {
    return CLIENTS.computeIfAbsent(
        region,
        missing -> {
          var builder = KmsClient.builder().region(missing);
          return (ENDPOINT == null ? builder : builder.endpointOverride(URI.create(ENDPOINT))).build();
        });
  }

  // Fields of requests

  private static int number(JsonNode object, String name) {
    return Integer.parseInt(object.field(name).orElseThrow().asNumber());
  }

  private static String text(JsonNode object, String name) {
    return object.field(name).orElseThrow().asString();
  }

  private static List<String> texts(JsonNode object, String name) {
    return object.field(name).orElseThrow().asArray().stream().map(JsonNode::asString).toList();
  }

  private static byte[] bytes(JsonNode object, String name) {
    return Base64.getDecoder().decode(text(object, name));
  }

  private static byte[] der(String pem) {
    return Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
  }
}
